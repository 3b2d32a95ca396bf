"""The types of settings: validation, normalization and error messages.

Values are text from the environment or typed from config.json; both are accepted. Error messages never contain the
value, it may be a secret.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from relay.config.weekly_times import spans


def _without_trailing_slash(value: Any) -> Any:
    return value.strip().rstrip("/") if isinstance(value, str) else value


def _http_url(value: Any) -> Any:
    """Accept an http(s) URL with a host and nothing after the path."""
    value = _without_trailing_slash(value)
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
            broken = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
            broken = broken or bool(parts.query or parts.fragment)
        except ValueError:
            broken = True
        if broken:
            raise ValueError("must be a full URL that begins with http:// or https://")
    return value


_EXAMPLE = re.compile(
    r"""(?:\.\.\.|…)$ | <.+> | x{6,} | (?<![a-z0-9]) (?: your[-_ .] | (?:change|replace)[-_ ]?(?:me|this)$ )
    | the-string-from""",
    re.IGNORECASE | re.VERBOSE,
)
"""What examples of guides have in place of a value: three dots, brackets, "your-..."; random keys have none of it."""
_EXAMPLE_HOST = re.compile(
    r"""(?:^|\.) (?: x{3,} | your[-_.]? (?:name|domain|host|hostname|app|tunnel|server|site|sub-?domain|address|url) )
    (?:$|[.:]) | [<>{}…] | \.\.\.""",
    re.IGNORECASE | re.VERBOSE,
)


def _public_url(value: Any) -> Any:
    """Accept https://NAME, with what comes before the path of a webhook; on this machine, for stand-ins, http too."""
    if isinstance(value, str) and _EXAMPLE_HOST.search(value.partition("://")[2].partition("/")[0]):
        raise ValueError("is the example of a guide: put in the address that your tunnel or proxy shows")
    value = _without_webhook(value)
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    root = f"https://{parts.netloc.rpartition('@')[2]}"
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise ValueError(f"must begin with https://, as in {root}")
    return value


def _no_example(value: Any) -> Any:
    """Refuse a key that was copied from a guide as it stands there."""
    value = _stripped_or_none(value)
    if isinstance(value, str) and _EXAMPLE.search(value):
        raise ValueError("is the example of a guide: put in your own")
    return value


_WEBHOOK = re.compile(r"/[a-z]+/(?:webhook|delivery)/?(?:#[^/]*)?\s*\Z")


def _without_webhook(value: Any) -> Any:
    """What comes before the path of a webhook, whose whole URL is often pasted from the provider's console."""
    return _http_url(_WEBHOOK.sub("", value) if isinstance(value, str) else value)


def _proxy_url(value: Any) -> Any:
    """Accept the URL of an HTTP or SOCKS5 proxy with host and port, and perhaps a user and a password."""
    value = _without_trailing_slash(value)
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
        broken = parts.scheme not in {"http", "https", "socks5", "socks5h"} or not parts.hostname or not parts.port
        broken = broken or bool(parts.path or parts.query or parts.fragment)
    except ValueError:
        broken = True
    if value and broken:
        raise ValueError("must be the full URL of a proxy, such as socks5://127.0.0.1:1080 or http://127.0.0.1:3128")
    return value or None


def _stripped_or_none(value: Any) -> Any:
    """Strip spaces and line breaks, which pasted values often have; None when nothing remains."""
    return (value.strip() or None) if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _ollama_host(value: Any) -> Any:
    """OLLAMA_HOST is Ollama's own variable too, and there it may be a bare host, host:port, or an address to bind."""
    if not isinstance(value, str) or not value.strip():
        return value
    text = value.strip()
    if "://" not in text:
        host, _, port = text.rpartition(":") if re.search(r":\d+$", text) else (text, "", "11434")
        text = f"http://{host or '127.0.0.1'}:{port}"
    return _http_url(text.replace("//0.0.0.0", "//127.0.0.1", 1))


def _shaped(pattern: str, description: str) -> BeforeValidator:
    """Accept values that match `pattern`; `description` is for the error message."""

    def check(value: Any) -> Any:
        value = _stripped_or_none(value)
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            raise ValueError(f"must be {description}")
        return value

    return BeforeValidator(check)


def _channel_addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(r"[a-z]+:\S+", value) for value in values):
        raise ValueError("must be channel:address, such as telegram:700000001")
    return values


def _with_scheme(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not all(re.match(r"[a-z][a-z0-9+.-]*://.", url.get_secret_value()) for url in urls):
        raise ValueError("must be addresses such as mailto://user:password@example.com or ntfy://topic")
    return urls


def _list_of_words(value: Any) -> Any:
    """Lists may be written as JSON in config.json and with commas in the environment."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _list_of_urls(value: Any) -> Any:
    """URLs with spaces, line breaks or commas between them; a comma within one is part of it."""
    if isinstance(value, str):
        return [url for url in re.split(r"[\s,]+(?=[a-z][a-z0-9+.-]*://)", value.strip(" ,\n")) if url]
    return value


def _json_object(value: Any) -> Any:
    """Tables may be written as they are in config.json and as JSON text in the environment."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "{}")
    except json.JSONDecodeError:
        raise ValueError("must be a JSON object") from None


def _known_timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, KeyError, ValueError):  # unknown, a path, or a folder of the time zone database
        raise ValueError("must be a name of the time zone database, such as Europe/Berlin") from None
    return value


def _business_hours(value: str) -> str:
    spans(value)
    return value.strip()


def _aliases(value: Any) -> Any:
    """Each alias is a model, or an object with `model` and the parameters that go with it."""
    value = _json_object(value)
    if not isinstance(value, dict):
        return value
    aliases = {name: {"model": entry} if isinstance(entry, str) else entry for name, entry in value.items()}
    for name, entry in aliases.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("model"), str) or not entry["model"]:
            msg = f'the alias "{name}" needs a "model", as in {{"{name}": {{"model": "ollama:llama3.2"}}}}'
            raise ValueError(msg)
    return aliases


MIN_TOKEN_LENGTH = 16
CHOSEN = "chosen by the operator"
"""Marks the type of a token that the operator makes up; those of providers are as strong as the provider makes them."""
_PLACEHOLDER = re.compile(
    r"""(?: (?:an?|the|my|our|your|this|that|some|any|very|long|random|secure?|secret|safe|strong|string|key
    |value|here|token|auth|pass|word|phrase|admin|internal|web|hook|telegram|twilio|bot|father|relay|bearer|change
    |replace|please|put|enter|insert|with|from|me|it|example|sample|demo|default|test|todo|x) [\W\d_]* )+""",
    re.IGNORECASE | re.VERBOSE,
)


def weakness(token: str) -> str | None:
    """What makes a token too weak for a server on the internet; None when nothing does. Does not repeat the token."""
    if _PLACEHOLDER.fullmatch(token):
        return "is a placeholder as in our guides"
    return f"has fewer than {MIN_TOKEN_LENGTH} characters" if len(token) < MIN_TOKEN_LENGTH else None


Port = Annotated[int, Field(ge=1, le=65535)]
Url = Annotated[str, BeforeValidator(_http_url)]
OptionalUrl = Annotated[str | None, BeforeValidator(_http_url)]
PublicUrl = Annotated[str | None, BeforeValidator(_public_url)]
Text = Annotated[str | None, BeforeValidator(_stripped_or_none)]
ProxyUrl = Annotated[str | None, BeforeValidator(_proxy_url)]
Secret = Annotated[SecretStr | None, BeforeValidator(_no_example)]
Token = Annotated[SecretStr | None, BeforeValidator(_stripped_or_none), CHOSEN]
OllamaHost = Annotated[str, BeforeValidator(_ollama_host)]
OneOf = BeforeValidator(_lower)
AccountSid = Annotated[str | None, _shaped(r"AC[0-9a-fA-F]{32}", "AC and 32 hex digits (SK... is an API key)")]
ApiKeySid = Annotated[str | None, _shaped(r"SK[0-9a-fA-F]{32}", "SK and 32 hex digits (AC... is an account)")]
ServiceSid = Annotated[str | None, _shaped(r"MG[0-9a-fA-F]{32}", "MG and 32 hex digits")]
PhoneNumber = Annotated[
    str | None, _shaped(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}", "+, country code and number, like +12345678900")
]
BotToken = Annotated[
    SecretStr | None,
    BeforeValidator(_no_example),
    _shaped(r"[0-9]+:[A-Za-z0-9_-]+", "digits, a colon and about 35 characters, as @BotFather gave it"),
]
WebhookSecret = Annotated[
    SecretStr | None, _shaped(r"[A-Za-z0-9_-]{1,256}", "1 to 256 characters of A-Z a-z 0-9 _ -"), CHOSEN
]
Words = Annotated[tuple[str, ...], BeforeValidator(_list_of_words)]
SecretUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(_list_of_urls), AfterValidator(_with_scheme)]
Operators = Annotated[Words, AfterValidator(_channel_addresses)]
Texts = Annotated[dict[str, str], BeforeValidator(_json_object)]
BusinessHours = Annotated[str, AfterValidator(_business_hours)]
Timezone = Annotated[str, AfterValidator(_known_timezone)]
Table = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Aliases = Annotated[dict[str, dict[str, Any]], BeforeValidator(_aliases)]


class ModelServer(BaseModel):
    """An OpenAI-compatible server with a name of its own, as an entry of `llm_sources`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: Url
    api_key: Secret = None
    model: Text = None
    max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 16
    vision: bool | None = None
    free: bool | None = None

    @property
    def is_free(self) -> bool:
        """Whether its answers cost nothing: as stated, else when it runs on this machine and takes no key."""
        local = urlsplit(self.base_url).hostname in {"127.0.0.1", "localhost", "::1"}
        return local and self.api_key is None if self.free is None else self.free


BUILT_IN_SOURCES = ("openrouter", "ollama", "openai", "demo")


def _sources(value: Any) -> Any:
    """Names that cannot be taken for another source or for a model."""
    value = _json_object(value)
    for name in value if isinstance(value, dict) else ():
        if name in {*BUILT_IN_SOURCES, "auto", "default"} or not re.fullmatch(r"[a-z][a-z0-9_-]{0,29}", name):
            others = ", ".join(BUILT_IN_SOURCES)
            msg = f'"{name}" cannot be the name of a source: take small letters, and none of {others}'
            raise ValueError(msg)
    return value


ModelServers = Annotated[dict[str, ModelServer], BeforeValidator(_sources)]
CountryPrices = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], Annotated[float, Field(ge=0, le=10)]],
    BeforeValidator(_json_object),
]
Prices = Annotated[
    dict[str, tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]], BeforeValidator(_json_object)
]
