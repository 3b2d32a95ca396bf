"""Senders of texts: telephone numbers in E.164, and addresses that are no telephones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers

from relay.channels.sms.prices import KNOWN_NUMBERS, parsed_number
from relay.channels.sms.settings import SmsSettings
from relay.core.errors import PayloadError
from relay.core.messages import UserId
from relay.core.text import strip_controls


class SenderKind(StrEnum):
    """The kind of a sender's address; only telephones are answered."""

    PHONE = "phone"
    OWN = "own"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    OTHER_CHANNEL = "other_channel"
    ANONYMOUS = "anonymous"
    PREMIUM = "premium"


WHY_SILENT: Mapping[SenderKind, str] = {
    SenderKind.OWN: "from our own number: answering would be talking to ourselves",
    SenderKind.SHORT_CODE: "from a short code: a machine, not a person",
    SenderKind.ALPHANUMERIC: "from a name instead of a number: it cannot be answered",
    SenderKind.ANONYMOUS: "from a number that was withheld: it cannot be answered",
    SenderKind.PREMIUM: "from a premium-rate number: answering would be expensive",
    SenderKind.OTHER_CHANNEL: "no text message: WhatsApp needs whatsapp_number, RCS and Messenger are not supported",
}
"""Why a sender that is no telephone gets no answer; one of another channel is told so once."""


@dataclass(frozen=True, slots=True)
class Sender:
    kind: SenderKind
    user_id: UserId


_TELEPHONE = re.compile(r"\+?[\d\s().\-/]+")
_LONGEST_SPELLING = 64
"""15 digits with everything that people put between them; a longer text would be remembered in vain."""
_E164 = re.compile(r"\+[1-9]\d{6,14}")
# "+", and ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE, PRIVATE on the keys of a telephone:
# https://help.twilio.com/articles/223179988; or the same digit throughout.
_WITHHELD = re.compile(r"\+?(?:1?266696687|7378742833|2562533|8656696|86282452253|7748283|(\d)\1{5,})")
# Mobile numbers of one person in two spellings, by the digits behind the country code.
_SPELLINGS = (
    (re.compile(r"\+521(\d{10})"), r"+52\1"),  # Mexico: "1" is left out since 2019
    (re.compile(r"\+54([1-8]\d{9})"), r"+549\1"),  # Argentina: "9" for mobile numbers
    (re.compile(r"\+55([1-9]\d)([6-9]\d{7})"), r"+55\g<1>9\2"),  # Brazil: the ninth digit, since 2016 everywhere
)
_OTHER_CHANNEL = re.compile(r"[a-z]+:", re.IGNORECASE)


def normal_number(text: str, region: str) -> UserId | None:
    """A telephone number in any common spelling, as E.164; None for short codes, names and numbers that cannot exist.

    A leading space was a plus: forms that a person writes by hand lose it ("From=+1..." decodes to " 1...").
    """
    if text.startswith(" ") and text.strip()[:1].isdigit() and len(re.sub(r"\D", "", text)) >= 10:
        text = "+" + text
    compact = re.sub(r"\s", "", text)
    if not _TELEPHONE.fullmatch(compact) or compact.count("+") > 1:
        return None
    if not compact.startswith("+") and len(re.sub(r"\D", "", compact)) <= 8:
        return None  # a short code: with a region it would turn into a number of another subscriber
    return _e164(compact, region) if len(compact) <= _LONGEST_SPELLING else None


@lru_cache(maxsize=KNOWN_NUMBERS)
def _e164(compact: str, region: str) -> UserId | None:
    for spelling, usual in _SPELLINGS:
        compact = spelling.sub(usual, compact) if spelling.fullmatch(compact) else compact
    try:
        number = parsed_number(compact) if compact.startswith("+") else parsed_number(compact, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return UserId(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def sender_of(text: str, region: str, own: frozenset[str]) -> Sender:
    """The sender in a From field; `own` are our numbers. Raises PayloadError when it is empty."""
    bare = strip_controls(text).strip()
    if not bare:
        raise PayloadError("the field From is missing or empty")
    if (other := address_of_channel(text)) is not None:
        return Sender(SenderKind.OTHER_CHANNEL, other)
    if _WITHHELD.fullmatch(bare):
        return Sender(SenderKind.ANONYMOUS, UserId(bare))
    if (number := addressee(text, region)) is not None:
        kind = SenderKind.PREMIUM if _is_premium(number) else SenderKind.PHONE
        return Sender(SenderKind.OWN if number in own else kind, number)
    digits_only = bare.lstrip("+").isdigit()
    return Sender(SenderKind.SHORT_CODE if digits_only else SenderKind.ALPHANUMERIC, UserId(bare[:64]))


def address_of_channel(text: str) -> UserId | None:
    """An address with the scheme of a channel that is not SMS, "rcs:+12345678900"; None for every other."""
    bare = strip_controls(text).strip()
    return UserId(bare[:64]) if _OTHER_CHANNEL.match(bare) else None


def addressee(text: str, region: str) -> UserId | None:
    """A number that may write to us, and that we may write to; None for every other address."""
    bare = strip_controls(text).strip()
    if _WITHHELD.fullmatch(bare):
        return None
    number = normal_number(text, region)
    if number is None and _E164.fullmatch(bare):
        return UserId(bare)  # a country that phonenumbers does not know yet: never drop a real text
    return number


@lru_cache(maxsize=KNOWN_NUMBERS)
def region_of(number: UserId) -> str | None:
    """The country or territory of a telephone number, as ISO 3166-1; None when it is unknown."""
    try:
        region: str | None = phonenumbers.region_code_for_number(parsed_number(number))
    except phonenumbers.NumberParseException:
        return None
    return region if region and region.isalpha() else None  # "001": no region, such as satellites


def country_of(number: UserId) -> str | None:
    """The same, by its calling code where the number is of no known range; None for what is no telephone number."""
    if (region := region_of(number)) is not None:
        return region
    try:
        called = phonenumbers.region_code_for_country_code(parsed_number(number).country_code or 0)
    except phonenumbers.NumberParseException:
        return None
    return called if called.isalpha() and called != "ZZ" else None


@lru_cache(maxsize=KNOWN_NUMBERS)
def _is_premium(number: UserId) -> bool:
    try:
        kind = phonenumbers.number_type(parsed_number(number))
    except phonenumbers.NumberParseException:
        return False
    return bool(kind == phonenumbers.PhoneNumberType.PREMIUM_RATE)


def own_number(settings: SmsSettings) -> UserId | None:
    """Our number in E.164, if we send from one of our own choice."""
    written = settings.twilio_phone_number
    return None if written is None else normal_number(written, settings.default_region) or UserId(written)
