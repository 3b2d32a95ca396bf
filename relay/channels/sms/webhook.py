"""Twilio's webhooks before they mean anything: the form, its signature, and who the sender is.

What a message asks for is sms_service.py's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, parse_qsl, urlsplit

import phonenumbers
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, get_signature_algorithm

from relay.core.errors import PayloadError
from relay.core.messages import UserId
from relay.core.text import strip_controls

MAX_FIELDS = 500


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form in their order, blank and repeated ones included: all of them are signed."""

    pairs: tuple[tuple[str, str], ...]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def getlist(self, name: str) -> list[str]:
        """Every value of a field; the name of this verb is the one that the SDK's validator looks for."""
        return [value for key, value in self.pairs if key == name]

    def one(self, *names: str) -> str:
        """The value of the first of these fields that is there, or "". Raises PayloadError for two different values."""
        for name in names:
            values = set(self.getlist(name))
            if len(values) > 1:
                msg = f"the field {name} came with {len(values)} different values"
                raise PayloadError(msg)
            if values:
                return values.pop()
        return ""


def read_form(body: bytes, content_type: str = "") -> Form:
    """Read an urlencoded body; broken UTF-8 becomes U+FFFD. Raises PayloadError for what is no form at all."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/") or kind.endswith("json"):
        msg = f"expected a form (application/x-www-form-urlencoded), got {kind}"
        raise PayloadError(msg)
    try:
        text = body.decode("utf-8", "replace")
        return Form(tuple(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)))
    except ValueError as error:
        msg = f"the form cannot be read: {error}"
        raise PayloadError(msg) from None


# -- the signature -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signatures:
    """Checks X-Twilio-Signature. https://www.twilio.com/docs/usage/webhooks/webhooks-security

    tokens: the account's auth token, and the secondary one while it is rotated. With a shared key (of the Webhooks API)
    only its SHA-256 signatures count, whatever a request's header says: an attacker must not choose.
    """

    tokens: tuple[str, ...]
    shared_key: str | None = None

    def valid(self, url: str, form: Form, signature: str | None, settings_header: str = "", body: bytes = b"") -> bool:
        """Whether one of our secrets signed this URL, with or without its port, and this form or the hash of `body`.

        A URL that cannot be split, or a hashed body that is not UTF-8, is not valid.
        """
        secrets, wanted = self.tokens, HMAC_SHA1
        if self.shared_key is not None:
            secrets, wanted = (self.shared_key,), HMAC_SHA256
        if get_signature_algorithm(settings_header).upper() != wanted or not signature:
            return False
        try:
            hashed = "bodySHA256" in parse_qs(urlsplit(url).query)
            signed = body.decode() if hashed else form
            return any(RequestValidator(secret).validate(url, signed, signature, wanted) for secret in secrets)
        except ValueError:
            return False


def sign(secret: str, url: str, form: Form, algorithm: str = HMAC_SHA1) -> str:
    """The signature that Twilio would send."""
    return str(RequestValidator(secret).compute_signature(url, form, algorithm))


# -- the sender --------------------------------------------------------------------------------------------------------


class SenderKind(StrEnum):
    """What kind of address a message came from; only telephones are answered."""

    PHONE = "phone"
    OWN = "own"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    OTHER_CHANNEL = "other_channel"


@dataclass(frozen=True, slots=True)
class Sender:
    kind: SenderKind
    user_id: UserId


_TELEPHONE = re.compile(r"\+?[\d\s().\-/]+")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_OTHER_CHANNEL = re.compile(r"[a-z]+:", re.IGNORECASE)


def normal_number(text: str, region: str) -> UserId | None:
    """A telephone number as people write it, in E.164; None for short codes, names and numbers that cannot exist.

    A leading space was a plus: forms that a person writes by hand lose it ("From=+1..." decodes to " 1...").
    """
    if text.startswith(" ") and text.strip()[:1].isdigit() and len(re.sub(r"\D", "", text)) >= 10:
        text = "+" + text
    compact = re.sub(r"\s", "", text)
    if not _TELEPHONE.fullmatch(compact) or compact.count("+") > 1:
        return None
    if not compact.startswith("+") and len(re.sub(r"\D", "", compact)) <= 8:
        return None  # a short code: with a region it would turn into a number of another subscriber
    try:
        number = phonenumbers.parse(compact, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return UserId(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def sender_of(text: str, region: str, own: frozenset[str]) -> Sender:
    """Who wrote. Raises PayloadError when the field is empty."""
    bare = strip_controls(text).strip()
    if not bare:
        raise PayloadError("the field From is missing or empty")
    if _OTHER_CHANNEL.match(bare):
        return Sender(SenderKind.OTHER_CHANNEL, UserId(bare[:64]))
    number = normal_number(text, region)
    if number is None and _E164.fullmatch(bare):
        number = UserId(bare)  # a country that phonenumbers does not know yet: never drop a real text
    if number is not None:
        return Sender(SenderKind.OWN if number in own else SenderKind.PHONE, number)
    digits_only = bare.lstrip("+").isdigit()
    return Sender(SenderKind.SHORT_CODE if digits_only else SenderKind.ALPHANUMERIC, UserId(bare[:64]))
