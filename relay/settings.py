"""One typed tree of settings: environment, then `.env`, then `config.json`, then the default written here.

Every key exists once, here, with its default, its limits and its help; the settings page of the docs and `.env.example`
are tested against it. An unknown key or a bad value is refused at start with a sentence that says what to do. Any key
may also come from a file: `TWILIO_AUTH_TOKEN_FILE=/run/secrets/twilio` reads the value from there.
"""

from __future__ import annotations

import difflib
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from relay.errors import SettingsError

SIMULATED_ACCOUNT_SID = "AC" + "51" * 16
SIMULATED_AUTH_TOKEN = "simulated-auth-token"  # noqa: S105 (opens nothing but the simulator on this machine)
SIMULATED_PHONE_NUMBER = "+15550100000"
SIMULATED_BOT_TOKEN = "5150000000:SIMULATED-bot-token-of-the-try-out-mode"  # noqa: S105 (as above)
SIMULATED_DATABASE_URL = "sqlite:///messaging_users.simulated.db"


def _without_trailing_slash(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


def _http_url(value: Any) -> Any:
    """Accept an http(s) URL with a host and nothing after the path."""
    value = _without_trailing_slash(value)
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
            broken = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
        except ValueError:
            broken = True
        if broken:
            msg = "must be a full URL such as http://127.0.0.1:8033"
            raise ValueError(msg)
    return value


def _empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _list_of_words(value: Any) -> Any:
    """Lists may be written as JSON in config.json and with commas in the environment."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Url = Annotated[str, BeforeValidator(_http_url)]
OptionalUrl = Annotated[str | None, BeforeValidator(_http_url)]
Text = Annotated[str | None, BeforeValidator(_empty_is_none)]
Secret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
Words = Annotated[tuple[str, ...], BeforeValidator(_list_of_words)]


class Settings(BaseModel):
    """Every setting of every server. Frozen; build it with `load_settings`, or by keyword in tests."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Where the servers listen and find each other
    bind_host: str = Field("127.0.0.1", min_length=1, description="Address every server listens on.")
    llm_server_port: Port = Field(8033, description="Port of the LLM server.")
    sms_server_port: Port = Field(8040, description="Port of the SMS server.")
    telegram_server_port: Port = Field(8041, description="Port of the Telegram server.")
    admin_server_port: Port = Field(8042, description="Port of the console.")
    simulator_port: Port = Field(8043, description="Port of the simulator.")
    llm_server_url: OptionalUrl = Field(
        None,
        validate_default=True,
        description="Where the channels find the LLM server; http://127.0.0.1:{llm_server_port} when empty.",
    )
    public_url: OptionalUrl = Field(
        None, description="What the internet calls us (https://...); Twilio's signatures are checked against it."
    )
    max_body_bytes: int = Field(
        1_000_000, ge=10_000, le=100_000_000, description="Largest request body a server reads."
    )

    # Storage
    database_url: str = Field(
        "sqlite:///messaging_users.db",
        min_length=1,
        description="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )
    database_timeout_seconds: float = Field(
        8.0, gt=0, le=60, description="How long to wait for a locked or distant database before giving up."
    )
    instance_name: Text = Field(
        None,
        description="Stable name of this machine's servers among several on one database; the host name when empty.",
    )
    lease_seconds: float = Field(
        15.0, ge=6, le=600, description="How long a claimed message stays ours without a sign of life."
    )

    # The model
    llm_source: Literal["auto", "openrouter", "ollama", "openai", "demo"] = Field(
        "auto", description="Which source answers; auto takes what is configured or found."
    )
    openrouter_api_key: Secret = Field(None, description="Key of openrouter.ai.")
    openrouter_model: str = Field("openrouter/auto", min_length=1, description="Model asked of OpenRouter.")
    openrouter_base_url: Url = Field("https://openrouter.ai/api/v1", description="Where OpenRouter's API is.")
    ollama_host: Url = Field("http://127.0.0.1:11434", description="Where Ollama listens.")
    ollama_model: Text = Field(None, description="Model asked of Ollama; the first one installed when empty.")
    openai_base_url: OptionalUrl = Field(
        None, description="Any OpenAI-compatible server, with its /v1: vLLM, llama.cpp, LM Studio, LiteLLM."
    )
    openai_api_key: Secret = Field(None, description="Key of that server, if it wants one.")
    openai_model: Text = Field(None, description="Model asked of that server; its first one when empty.")
    llm_connect_seconds: float = Field(5.0, gt=0, le=120, description="Longest wait for a connection to a source.")
    llm_first_token_seconds: float = Field(
        90.0, gt=0, le=3600, description="Longest wait for the first word of an answer."
    )
    llm_silence_seconds: float = Field(
        30.0, gt=0, le=3600, description="Longest silence between two words of an answer."
    )
    llm_total_seconds: float = Field(180.0, gt=0, le=7200, description="Longest time for a whole answer.")
    internal_token: Secret = Field(
        None, description="When set, the LLM server's model routes want it as a bearer token; the channels send it."
    )
    demo_faq_file: str = Field(
        "faq.json", min_length=1, description="What the demo source answers from; edit it freely."
    )
    history_exchanges: int = Field(5, ge=0, le=50, description="How many earlier exchanges the model is shown.")

    # Twilio
    twilio_account_sid: Text = Field(None, description="Account SID, AC and 32 hex digits.")
    twilio_auth_token: Secret = Field(None, description="Auth token; signs webhooks and opens the REST API.")
    twilio_phone_number: Text = Field(None, description="Our number in E.164, +12345678900.")
    twilio_messaging_service_sid: Text = Field(
        None, description="Messaging Service to send through, MG and 32 hex digits."
    )
    twilio_api_base_url: Url = Field("https://api.twilio.com", description="Where Twilio's REST API is.")
    validate_twilio_signature: bool | None = Field(
        None, description="Refuse unsigned webhooks; true when an auth token is set, unless said otherwise."
    )
    default_region: str = Field("US", min_length=2, max_length=2, description="Country of numbers written without a +.")
    sms_max_parts: int = Field(
        6, ge=1, le=40, description="Most parts that one answer may be texted in; the rest is cut, with a word."
    )

    # Telegram
    telegram_bot_token: Secret = Field(None, description="Token from @BotFather.")
    telegram_mode: Literal["polling", "webhook"] = Field("polling", description="How updates arrive.")
    telegram_webhook_secret: Secret = Field(
        None,
        description="Secret token of the webhook, 1 to 256 of A-Z a-z 0-9 _ -; derived from the bot token when empty.",
    )
    telegram_api_base_url: Url = Field(
        "https://api.telegram.org", description="Where the Bot API is; requests go to {base}/bot{token}/{method}."
    )
    telegram_poll_seconds: int = Field(30, ge=0, le=50, description="Longest wait of one long poll.")
    telegram_max_parts: int = Field(
        10, ge=1, le=40, description="Most messages that one answer may be sent in; the rest is cut, with a word."
    )

    # People and the relay
    admin_token: Secret = Field(
        None, description="When set, every admin route wants it; without it they answer this machine only."
    )
    max_name_length: int = Field(50, ge=1, le=200, description="Longest name, in characters.")
    model_notice_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="When the model cannot answer for this long, the person is told that the answer comes later.",
    )
    model_give_up_seconds: float = Field(
        3600.0,
        ge=1,
        le=86_400,
        description="After this long without an answer from the model, an honest apology is sent.",
    )
    send_give_up_seconds: float = Field(
        86_400.0, ge=60, le=604_800, description="After this long a part that cannot be sent is given up."
    )
    max_concurrent_answers: int = Field(32, ge=1, le=1000, description="How many people are served at the same moment.")
    max_message_length: int = Field(
        8000, ge=100, le=100_000, description="Longest message, in characters, that is put to the model."
    )
    stop_seconds: float = Field(8.0, gt=0, le=60, description="How long a server may take to stop.")

    # Logs and modes
    log_dir: Text = Field(
        None, description="Folder of log files (logs/sms_server.log and so on); none are written when empty."
    )
    log_format: Literal["text", "json"] = Field("text", description="text or json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    simulated: bool = Field(
        False,
        description="Try-out mode, set by the launcher: the simulator plays Twilio and Telegram; no account is used.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        secret = self.telegram_webhook_secret
        if secret is not None:
            value = secret.get_secret_value()
            allowed = all(char.isascii() and (char.isalnum() or char in "_-") for char in value)
            if not allowed or len(value) > 256:
                msg = "telegram_webhook_secret must be 1 to 256 characters out of A-Z a-z 0-9 _ -"
                raise ValueError(msg)
        if not self.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
            msg = "database_url must begin with sqlite:/// or postgresql+psycopg://"
            raise ValueError(msg)
        return self

    @property
    def model_url(self) -> str:
        """Where the channels find the LLM server."""
        return self.llm_server_url or self.server_url(self.llm_server_port)

    def server_url(self, port: int) -> str:
        """How programs on this machine reach the server that listens on `bind_host` and this port."""
        host = reachable(self.bind_host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def owner(self) -> str:
        """Stable name of this machine in leases: a restarted server takes its own rows back at once."""
        return self.instance_name or socket.gethostname()

    @property
    def check_signatures(self) -> bool:
        """Whether an unsigned webhook of Twilio is refused."""
        if self.validate_twilio_signature is not None:
            return self.validate_twilio_signature
        return self.twilio_auth_token is not None

    @property
    def has_sms_credentials(self) -> bool:
        return bool(
            self.twilio_account_sid
            and self.twilio_auth_token
            and (self.twilio_phone_number or self.twilio_messaging_service_sid)
        )

    @property
    def has_any_credential(self) -> bool:
        """Whether any platform is configured, be it in part: then nothing is ever simulated silently."""
        return bool(
            self.twilio_account_sid
            or self.twilio_auth_token
            or self.twilio_phone_number
            or self.twilio_messaging_service_sid
            or self.telegram_bot_token
        )

    def secrets(self) -> list[str]:
        """Every secret value in force, for the log filter that blots them out."""
        values = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        password = urlsplit(self.database_url).password
        return [value for value in [*values, password] if value]

    def for_simulator(self) -> Settings:
        """The same settings with both channels pointed at the simulator; real credentials are left out."""
        changes: dict[str, Any] = {
            "simulated": True,
            "twilio_account_sid": SIMULATED_ACCOUNT_SID,
            "twilio_auth_token": SecretStr(SIMULATED_AUTH_TOKEN),
            "twilio_phone_number": SIMULATED_PHONE_NUMBER,
            "twilio_messaging_service_sid": None,
            "twilio_api_base_url": self.simulator_url,
            "validate_twilio_signature": False,
            "telegram_bot_token": SecretStr(SIMULATED_BOT_TOKEN),
            "telegram_api_base_url": self.simulator_url,
            "telegram_webhook_secret": None,
            "public_url": None,
        }
        if "database_url" not in self.model_fields_set:
            changes["database_url"] = SIMULATED_DATABASE_URL
        return self.model_copy(update=changes)


def reachable(bind_host: str) -> str:
    """The address under which programs on this machine reach a server that listens on `bind_host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind_host, bind_host)  # noqa: S104 (compared)


SECRET_KEYS = frozenset(name for name, info in Settings.model_fields.items() if info.annotation == SecretStr | None)


def load_settings(folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the product in `folder` (the current one by default).

    Raises SettingsError with one sentence a mistake: the file, the key, what is wrong, what to write instead.
    """
    folder = folder or Path.cwd()
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, found in (
        ("config.json", _read_config(folder / "config.json")),
        (".env", _read_dotenv(folder / ".env")),
        ("the environment", _known(environ)),
    ):
        for key, value in _with_files(found, source).items():
            if value != "" or source == "config.json":
                values[key] = value
                origin[key] = source
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(detail, origin) for detail in error.errors())) from None
    return settings.for_simulator() if settings.simulated else settings


def _read_config(path: Path) -> dict[str, Any]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read: {error}. Make it a readable UTF-8 file, or remove it."
        raise SettingsError(msg) from None
    try:
        values = json.loads(content or "{}")
    except json.JSONDecodeError as error:
        msg = (
            f"{path.name} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}. "
            "Look for a missing comma, a missing quote or a comma after the last entry."
        )
        raise SettingsError(msg) from None
    if not isinstance(values, dict):
        msg = f'{path.name} must be one JSON object, such as {{"llm_source": "ollama"}}.'
        raise SettingsError(msg)
    return _checked_keys(values, path.name, upper=False)


def _read_dotenv(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        pairs = dotenv_values(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read: {error}. Make it a readable UTF-8 file, or remove it."
        raise SettingsError(msg) from None
    values = {key.lower(): value for key, value in pairs.items() if value}
    return _checked_keys(values, path.name, upper=True)


def _checked_keys(values: dict[str, Any], source: str, *, upper: bool) -> dict[str, Any]:
    """Refuse unknown keys, naming the nearest known one: a mistyped token is the most common mistake of all."""
    for key in values:
        if key in Settings.model_fields or _file_key(key):
            continue
        near = difflib.get_close_matches(key.lower(), Settings.model_fields, n=1, cutoff=0.6)
        shown, hint = key.upper() if upper else key, near[0].upper() if upper and near else "".join(near)
        advice = f"Did you mean {hint}?" if near else "The known settings are in docs/SETTINGS.md."
        msg = f"{source}: there is no setting called {shown}. {advice}"
        raise SettingsError(msg)
    return values


def _known(environ: Mapping[str, str]) -> dict[str, Any]:
    """Our keys among the environment's; foreign ones are none of our business."""
    found = {key.lower(): value for key, value in environ.items() if key == key.upper()}
    return {key: value for key, value in found.items() if key in Settings.model_fields or _file_key(key)}


def _file_key(key: str) -> str | None:
    """The setting that KEY_FILE names a file for."""
    name = key.lower().removesuffix("_file")
    return (
        name
        if name != key.lower() and key.lower() not in Settings.model_fields and name in Settings.model_fields
        else None
    )


def _with_files(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Replace every KEY_FILE by the content of its file."""
    plain = {key.lower(): value for key, value in values.items() if not _file_key(key)}
    for key, value in values.items():
        name = _file_key(key)
        if name is None or not value:
            continue
        try:
            plain[name] = Path(str(value)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{source}: {key.upper()} names a file that cannot be read: {error}."
            raise SettingsError(msg) from None
    return plain


def _sentence(detail: Any, origin: Mapping[str, str]) -> str:
    """One mistake in words; the value itself is not repeated, it may be a secret."""
    location, message = detail["loc"], detail["msg"].removeprefix("Value error, ")
    if not location:
        return f"{message}."
    key = str(location[0])
    help_text = Settings.model_fields[key].description if key in Settings.model_fields else ""
    return f"{origin.get(key, 'settings')}: {key} is not valid: {message}. {help_text}".strip()


def load_or_exit() -> Settings:
    """The settings for an entry file: on a mistake its sentence goes to stderr and the program ends with status 2."""
    try:
        return load_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 (logging is not set up yet: it needs the settings)
        raise SystemExit(2) from None
