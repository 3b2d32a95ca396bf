"""Twilio's webhooks as they arrive: the fields of the form, and its signature."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, get_signature_algorithm

from relay.core.errors import PayloadError
from relay.core.text import strip_controls

MAX_FIELDS = 500
_HASHES = {HMAC_SHA1: "sha1", HMAC_SHA256: "sha256"}
_INBOUND_STATUS = frozenset({"", "receiving", "received"})


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form in their order, blank and repeated ones included: all of them are signed."""

    pairs: tuple[tuple[str, str], ...]
    _last: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_last", dict(self.pairs))

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def getlist(self, name: str) -> list[str]:
        """Every value of a field; the name of this verb is the one that the SDK's validator looks for."""
        return [value for key, value in self.pairs if key == name]

    def one(self, *names: str) -> str:
        """The value of the first of these fields that is there, or "". Raises PayloadError for two different values."""
        for name in names:
            if (value := self._last.get(name)) is None:
                continue
            if len(self._last) < len(self.pairs) and (count := len(set(self.getlist(name)))) > 1:
                msg = f"the field {name} came with {count} different values"
                raise PayloadError(msg)
            return value
        return ""


def read_form(body: bytes, content_type: str = "") -> Form:
    """Read an urlencoded body; broken UTF-8 becomes U+FFFD. Raises PayloadError for a body that is no form."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/") or kind.endswith("json"):
        msg = f"expected a form (application/x-www-form-urlencoded), got {kind}"
        raise PayloadError(msg)
    text = body.decode("utf-8", "replace")
    if text.count("&") >= MAX_FIELDS:
        msg = f"the form cannot be read: it has more than {MAX_FIELDS} fields"
        raise PayloadError(msg)
    # As urllib's parse_qsl, which takes three times as long: a tenth of a webhook with the twenty fields of Twilio's.
    pairs = (pair.partition("=") for pair in text.replace("+", " ").split("&") if pair)
    return Form(tuple([(_unquoted(name), _unquoted(value)) for name, _, value in pairs]))


def _unquoted(text: str) -> str:
    return unquote(text, errors="replace") if "%" in text else text


def external_id(form: Form) -> str:
    """Twilio's id of the message, by any of its three names, or ""."""
    return strip_controls(form.one("MessageSid", "SmsSid", "SmsMessageSid")).strip()[:64]


def is_delivery(form: Form) -> bool:
    """Whether this is a status callback, which some consoles are set up to send to the webhook of messages."""
    return form.one("MessageStatus", "SmsStatus").strip().lower() not in _INBOUND_STATUS


def small_number(text: str) -> int | None:
    """A positive whole number of at most six digits, as Twilio writes it; None for all else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0 else None


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
            hashed = "bodySHA256" in url and "bodySHA256" in parse_qs(urlsplit(url).query)
            if not hashed and any(_is_same(sign(secret, url, form, wanted), signature) for secret in secrets):
                return True
            # The SDK knows the rest: hashed bodies, and URLs with a port that was left out or added.
            signed = body.decode() if hashed else form
            return any(RequestValidator(secret).validate(url, signed, signature, wanted) for secret in secrets)
        except ValueError:
            return False


def _is_same(expected: str, signature: str) -> bool:
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape"))


def sign(secret: str, url: str, form: Form, algorithm: str = HMAC_SHA1) -> str:
    """The signature that Twilio would send: of the URL and, sorted by name, each field with each of its values."""
    signed = url + "".join(map("".join, sorted(set(form.pairs))))
    return b64encode(hmac.digest(secret.encode(), signed.encode(), _HASHES[algorithm])).decode()
