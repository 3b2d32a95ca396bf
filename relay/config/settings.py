"""The typed settings: environment before `.env` before `config.json` before the defaults defined here.

Every key is defined once, with default, limits and help; the settings page of the docs and `.env.example` are generated
from it. An unknown key or an invalid value is refused at start with advice. Any key may also come from a file:
`TWILIO_AUTH_TOKEN_FILE=/run/secrets/twilio`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from relay.config.hosts import is_loopback, local_url
from relay.config.types import (
    BUILT_IN_SOURCES,
    MIN_TOKEN_LENGTH,
    Aliases,
    BusinessHours,
    ModelServers,
    OllamaHost,
    OneOf,
    Operators,
    OptionalUrl,
    Port,
    Prices,
    PublicUrl,
    Secret,
    SecretUrls,
    Table,
    Text,
    Texts,
    Timezone,
    Token,
    Url,
    Words,
)

NEW_TOKEN_LINE = """python3 -c "import secrets; print('\\n{key}=' + secrets.token_urlsafe(32))" >> .env"""  # noqa: S105 (makes one)
"""A command that makes a token and adds it to .env, also when the last line there has no end."""
SIMULATED_DATABASE_URL = "sqlite:///messaging_users.simulated.db"

S = TypeVar("S", bound="Settings")


@dataclass(frozen=True, slots=True)
class SpendingCaps:
    """The most that the messages of a channel may cost, in USD: of one user and of all in a day, of all in a month."""

    user_day: float | None = None
    day: float | None = None
    month: float | None = None


class Settings(BaseModel):
    """The settings that do not belong to one channel; a channel derives a class of its own, `compose` joins them.

    Frozen; build it with `load_settings`, or by keyword in tests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Where the servers listen and find each other
    bind_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address that the servers listen on."""
    llm_server_port: Port = 8033
    """Port of the LLM server."""
    admin_server_port: Port = 8042
    """Port of the console."""
    admin_bind_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address that the console listens on. Any other than this machine's own takes an admin_token; meant for
    a container or a proxy that adds HTTPS."""
    simulator_port: Port = 8043
    """Port of the simulator."""
    llm_server_url: Annotated[OptionalUrl, Field(validate_default=True)] = None
    """Where the channels reach the LLM server; http://127.0.0.1:{llm_server_port} when empty."""
    public_url: PublicUrl = None
    """Our address on the internet, such as https://relay.example.com; Twilio's signatures are checked against it."""
    tunnel: Annotated[Literal["off", "auto", "cloudflared", "ngrok", "own"], OneOf] = "off"
    """Gives the servers an address on the internet while the launcher runs, sets the providers' webhooks to it, and
    puts them back at the end: cloudflared or ngrok starts that program, auto the one that is installed; own takes
    public_url, which leads here by a tunnel or proxy of yours. `--tunnel` and `--public-url` set it for one run."""
    tunnel_port: Port = 8044
    """Port of the program that looks after the tunnel; it answers this machine only."""
    max_body_bytes: Annotated[int, Field(ge=10_000, le=100_000_000)] = 1_000_000
    """Largest request body that a server accepts."""

    # Storage
    database_url: Annotated[str, Field(min_length=1)] = "sqlite:///messaging_users.db"
    """sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME."""
    database_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 8.0
    """How long to wait for a locked or slow database before giving up."""
    instance_name: Text = None
    """Stable name of this machine when several share one database; the host name when empty."""
    lease_seconds: Annotated[float, Field(ge=6, le=600)] = 15.0
    """How long a message stays claimed by a server that shows no sign of life."""
    keep_days: Annotated[int | None, Field(ge=2, le=36_500)] = None
    """Age in days at which finished messages are deleted, history included; people, consent, totals and costs stay.
    Nothing is deleted when empty."""

    # The model
    llm_source: Annotated[str, OneOf] = "auto"
    """Which source answers: openrouter, ollama, openai, demo, or a name of llm_sources; auto takes what is configured
    or found."""
    llm_sources: ModelServers = {}
    """Further OpenAI-compatible servers by name: {"groq": {"base_url": "https://api.groq.com/openai/v1", "api_key":
    "gsk_...", "model": "llama-3.3-70b"}}; also max_concurrent (16), vision (as openai_vision), and free (a server on
    this machine without a key is)."""
    openrouter_api_key: Secret = None
    """Key of openrouter.ai."""
    openrouter_model: Annotated[str, Field(min_length=1)] = "openrouter/auto"
    """Model to use at OpenRouter."""
    openrouter_base_url: Url = "https://openrouter.ai/api/v1"
    """Base URL of OpenRouter's API."""
    openrouter_app_url: OptionalUrl = None
    """Address of your app for OpenRouter's rankings, sent as HTTP-Referer; not sent when empty."""
    openrouter_provider: Table = {}
    """Provider routing, in OpenRouter's format: {"sort": "price", "data_collection": "deny"}."""
    openrouter_max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 32
    """Maximum number of concurrent answers from OpenRouter; more questions wait."""
    ollama_host: OllamaHost = "http://127.0.0.1:11434"
    """Where Ollama listens."""
    ollama_model: Text = None
    """Model to use in Ollama; the first one installed when empty."""
    ollama_context_tokens: Annotated[int | None, Field(ge=512, le=2_000_000)] = None
    """Context length to request from Ollama. When empty, Ollama's own default (4096 is assumed), and 8192 from the
    first conversation on that needs more."""
    ollama_max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 4
    """Maximum number of concurrent answers from Ollama; more questions wait."""
    openai_base_url: OptionalUrl = None
    """Base URL of an OpenAI-compatible server, including /v1: vLLM, llama.cpp, LM Studio, LiteLLM."""
    openai_api_key: Secret = None
    """Key of that server, if it needs one; a server on this machine without a key costs nothing."""
    openai_model: Text = None
    """Model to use on that server; its first one when empty."""
    openai_vision: bool | None = None
    """Whether that model sees pictures; when empty they are tried, and left out once they were refused."""
    openai_max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 16
    """Maximum number of concurrent answers from that server; more questions wait."""
    llm_fallbacks: Words = ()
    """Sources to try when the first one fails, in this order: ollama, openrouter:openrouter/free, ... With auto, when
    empty: whatever else is configured or found."""
    llm_fallback_after: Words = ()
    """Failures after which the next source is asked too, and which are final otherwise: refused, context_too_long."""
    llm_last_resort: bool = False
    """When every source fails, answer from the demo's FAQ, marked as degraded."""
    llm_aliases: Aliases = {}
    """Names for models with parameters: {"fast": {"model": "ollama:llama3.2", "temperature": 0.3}}."""
    llm_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often the last source in the chain is asked before giving up."""
    max_unusable_answers: Annotated[int, Field(ge=1, le=100)] = 3
    """How many answers to one question may be paid for that cannot be used (empty, broken off, over a limit); then the
    person is told so."""
    llm_max_waiting: Annotated[int, Field(ge=0, le=10_000)] = 1000
    """Maximum number of questions waiting for one source; more are refused with 503."""
    llm_max_body_bytes: Annotated[int, Field(ge=10_000, le=100_000_000)] = 20_000_000
    """Size limit of a question to the LLM server, pictures included; its text: max_body_bytes."""
    llm_keepalive_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    """After this long without output, a stream sends an empty piece to keep the connection open."""
    llm_context_tokens: Annotated[int | None, Field(ge=512, le=10_000_000)] = None
    """Context length of the model, when the source does not report it."""
    llm_answer_tokens: Annotated[int, Field(ge=64, le=1_000_000)] = 1024
    """Space reserved for the answer in the context."""
    llm_max_answer_chars: Annotated[int, Field(ge=1000, le=10_000_000)] = 100_000
    """Length at which a runaway answer is cut off."""
    llm_monthly_budget_usd: Annotated[float | None, Field(ge=0)] = None
    """After spending this much in a calendar month (UTC), only free sources are asked."""
    llm_prices: Prices = {}
    """USD per million tokens of prompt and of answer, for sources that report no cost: {"gpt-x": [0.15, 0.6]}."""
    llm_spending_file: Annotated[str, Field(min_length=1)] = "llm_spending.json"
    """File in which the LLM server records this month's spending."""
    llm_probe_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """How often the sources are checked, by calls that cost nothing; every 3 seconds while one does not answer."""
    llm_connect_seconds: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Timeout for connecting to a source."""
    llm_first_token_seconds: Annotated[float, Field(gt=0, le=3600)] = 90.0
    """Timeout for the first word of an answer."""
    llm_silence_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Timeout between two words of an answer."""
    llm_total_seconds: Annotated[float, Field(gt=0, le=7200)] = 180.0
    """Timeout for a whole answer."""
    internal_token: Token = None
    """When set, the LLM server's model routes require it as a bearer token; the channels send it."""
    llm_allowed_origins: Words = ()
    """Sites whose pages may use the LLM server from a browser on this machine: http://localhost:3000. Takes a
    restart."""
    demo_faq_file: Annotated[str, Field(min_length=1)] = "faq.json"
    """FAQ that the demo source answers from; edit it freely."""
    history_exchanges: Annotated[int, Field(ge=0, le=50)] = 5
    """How many earlier exchanges the model sees."""
    history_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    """Exchanges older than this are not shown to the model: what was asked last month is not meant today."""

    # Who the AI is, and what it knows
    instructions: Text = None
    """Task, tone and limits of the AI, as Markdown; INSTRUCTIONS_FILE=instructions.md reads them from a file."""
    channel_instructions: Texts = {}
    """Further instructions for one channel: {"sms": "Offer the phone number 555-0100 for orders."}."""
    assistant_name: Text = None
    """How the AI calls itself."""
    business_name: Text = None
    """For whom the AI speaks."""
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    """How freely the AI answers people: 0 keeps to what is most likely, 1 and more varies. The model's own when empty.
    Takes a restart."""
    timezone: Timezone = "UTC"
    """Time zone of the date and time that the AI is told, such as Europe/Berlin."""
    knowledge_folder: Annotated[str, Field(min_length=1)] = "knowledge"
    """Folder with documents that the AI answers from: md, txt, html, pdf, docx, csv, and FAQs as json; read again when
    they change."""
    knowledge_max_bytes: Annotated[int, Field(ge=0, le=1_000_000)] = 8000
    """How much of the documents one prompt contains, in bytes (about 4 a token); beyond it, what fits the question
    best."""
    knowledge_only: bool = False
    """The AI answers from the documents only, else it states that it does not know and offers a person."""
    knowledge_name_source: bool = False
    """The AI ends an answer from a document with its topic in parentheses: (opening hours)."""

    embedding_model: str | None = None
    """Model by which passages are also found whose words differ from the question's, such as ollama:nomic-embed-text;
    used when the documents are larger than `knowledge_max_bytes`."""

    # Pictures, voice messages and documents
    media_folder: Annotated[str, Field(min_length=1)] = "media"
    """Folder for what people send besides text, by its hash. It belongs to one database: what no message there has any
    more is deleted."""
    media_keep_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    """Age in days at which such a file is deleted."""
    media_max_bytes: Annotated[int, Field(ge=0, le=100_000_000)] = 20_000_000
    """Size of the largest file that is fetched; Telegram gives none above 20 MB. 0: none is fetched."""
    media_folder_max_bytes: Annotated[int, Field(ge=1_000_000)] = 2_000_000_000
    """Size of the folder above which the oldest files are deleted."""
    media_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How long fetching a file may take."""
    transcription_base_url: OptionalUrl = None
    """Base URL, including /v1, of an OpenAI-compatible server that writes down what is spoken (/audio/transcriptions):
    https://api.openai.com/v1, or speaches, whisper.cpp on this machine. Voice messages are not read when empty."""
    transcription_api_key: Secret = None
    """Key of that server, if it needs one."""
    transcription_model: Annotated[str, Field(min_length=1)] = "whisper-1"
    """Model to use on that server."""
    transcription_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    """How long writing down one recording may take."""

    # People and the relay
    admin_token: Token = None
    """When set, every admin route requires it; without it, admin routes answer this machine only. At least 16 random
    characters once public_url is set, as for every token that you make up."""
    default_region: Annotated[str, Field(min_length=2, max_length=2)] = "US"
    """Country assumed for numbers written without a +."""
    max_name_length: Annotated[int, Field(ge=1, le=200)] = 50
    """Maximum length of a name, in characters."""
    messages_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Maximum number of messages per person that are answered within a minute."""
    messages_per_day: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Maximum number of messages per person that are answered within 24 hours."""
    allowlist: Words = ()
    """Numbers and chat ids that are answered; everybody when empty: +12345678900, 700000001."""
    blocklist: Words = ()
    """Numbers and chat ids that are never answered."""
    operators: Operators = ()
    """Who answers by hand, as channel and address: telegram:700000001, sms:+12345678900. Each must have written to the
    relay once. A user who asks for a person, in one word such as "human", is left to them, and they are told."""
    user_models: Words = ()
    """Models that people may choose for themselves, such as with /model on Telegram: names as GET /api/tags of the LLM
    server lists them, with * for any characters. Empty: the default answers everyone."""
    takeover_hours: Annotated[float, Field(gt=0, le=720)] = 12.0
    """How long the AI stays silent towards a person whom an operator answers, after the operator's last message."""
    takeover_notices: bool = False
    """Tell people when a person takes over from the AI, and when the AI answers them again."""
    takeover_without_answer: bool = False
    """Leave people to the operators when the documents of the knowledge have no answer."""
    takeover_after_failures: Annotated[int, Field(ge=0, le=100)] = 0
    """Leave people to the operators after so many questions in a row that could not be answered; 0: never."""
    business_hours: BusinessHours = ""
    """When operators are there, in the time zone of `timezone`: Mon-Fri 9:00-17:30, Sat 10:00-14:00. Always when empty.
    At other times who asks for a person is told when they are back, and the AI goes on."""
    loop_turns: Annotated[int, Field(ge=0, le=20)] = 10
    """After this many turns at machine speed, a sender is treated as a machine; 0: never."""
    loop_pause_seconds: Annotated[float, Field(ge=60, le=604_800)] = 3600.0
    """How long a sender who looks like a machine is not answered."""
    merge_messages: bool = True
    """Answer waiting messages of the same person together, as one question."""
    merge_window_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to wait for more messages from a person before answering."""
    model_notice_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """When the model cannot answer for this long, the person is told that the answer will come later."""
    model_give_up_seconds: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    """After this long without an answer from the model, an apology is sent."""
    send_give_up_seconds: Annotated[float, Field(ge=60, le=604_800)] = 86_400.0
    """A part that could not be sent for this long is given up."""
    max_concurrent_answers: Annotated[int, Field(ge=1, le=1000)] = 200
    """How many answers of a channel are worked on at the same time; bounds its memory."""
    max_message_length: Annotated[int, Field(ge=100, le=100_000)] = 20_000
    """Maximum length of a message to the model, in characters."""
    stop_seconds: Annotated[float, Field(gt=0, le=60)] = 8.0
    """How long a server may take to stop; the launcher waits at most 9 seconds."""

    # Alerts
    alert_urls: SecretUrls = ()
    """Who is called when something is wrong, as addresses of apprise with spaces between them: mailto://..., tgram://...,
    ntfy://..., slack://... The console's page of alerts sends a test. Secret."""
    alert_unanswered_minutes: Annotated[float, Field(gt=0, le=1440)] = 10.0
    """After how many minutes without an answer of the AI, or of the person who took over, operators are called."""

    # Logs and modes
    log_dir: Text = None
    """Folder for log files (logs/sms_server.log and so on); none are written when empty."""
    log_format: Annotated[Literal["text", "json"], OneOf] = "text"
    """Format of the log lines."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], OneOf] = "info"
    """Lowest level that is logged."""
    simulated: bool = False
    """Try-out mode, set by the launcher: the simulator plays the providers; no account is used."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("database_url must begin with sqlite:/// or postgresql+psycopg://")
        sources = ("auto", *BUILT_IN_SOURCES, *self.llm_sources)
        if self.llm_source not in sources:
            raise ValueError(f"llm_source must be one of {', '.join(sources)}")
        if self.console_is_exposed and self.admin_token is None:
            raise ValueError("admin_bind_host lets other machines reach the console: set admin_token as well")
        if unknown := set(self.llm_fallback_after) - {"refused", "context_too_long"}:
            raise ValueError(f"llm_fallback_after knows refused and context_too_long, not {', '.join(sorted(unknown))}")
        try:
            urlsplit(self.database_url).port  # noqa: B018 (reading it is the check)
        except ValueError:
            msg = "database_url is not a URL: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
            raise ValueError(msg) from None
        return self

    @property
    def spending_caps(self) -> SpendingCaps:
        return SpendingCaps()

    @property
    def model_url(self) -> str:
        """Where the channels find the LLM server."""
        return self.llm_server_url or self.server_url(self.llm_server_port)

    def server_url(self, port: int) -> str:
        """How programs on this machine reach the server that listens on `bind_host` and this port."""
        return local_url(self.bind_host, port)

    @property
    def console_is_exposed(self) -> bool:
        """Whether other machines can reach the console directly."""
        return not is_loopback(self.admin_bind_host)

    @property
    def console_url(self) -> str:
        return local_url(self.admin_bind_host, self.admin_server_port)

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    def owner_of(self, server: str) -> str:
        """The name of a server as owner of leases, stable so that it reclaims its own rows after a restart.

        The port is part of it: two SMS servers on one machine are two owners.
        """
        port = f":{getattr(self, f'{server}_port')}" if f"{server}_port" in type(self).model_fields else ""
        return f"{server}@{self.instance_name or socket.gethostname()}{port}"

    def group(self, kind: type[S]) -> S:
        """The same settings, typed as those of one channel, whose class they must be of."""
        if not isinstance(self, kind):
            raise TypeError(f"{kind.__name__} is no part of these settings")
        return self

    @property
    def proxied(self) -> dict[str, str]:
        """Base URLs of a channel's provider, each with the proxy through which it is reached."""
        return {}

    def secrets(self) -> list[str]:
        """All secret values in effect, passwords in URLs included; `Redactor` takes them."""
        keys = (source.api_key for source in self.llm_sources.values())
        own = (one for _, value in self for one in (value if isinstance(value, tuple) else (value,)))
        values = [value.get_secret_value() for value in (*own, *keys) if isinstance(value, SecretStr)]
        urls = [value for _, value in self if isinstance(value, str) and "://" in value]
        passwords = [secret for url in urls for secret in _passwords(url)]
        # A library may print the URL with the password as it is written there, or the password itself.
        return [value for value in (*values, *passwords, *map(unquote, passwords)) if value]

    def for_simulator(self) -> Self:
        """The same settings with every channel pointed at the simulator; real credentials are left out."""
        return self.model_copy(update=self.simulated_values())

    def simulated_values(self) -> dict[str, Any]:
        """The values that try-out mode changes; a channel's settings add theirs."""
        changes: dict[str, Any] = {"simulated": True, "public_url": None}
        if "database_url" not in self.model_fields_set:
            changes["database_url"] = SIMULATED_DATABASE_URL
        if "media_folder" not in self.model_fields_set:
            changes["media_folder"] = f"{self.media_folder}.simulated"
        return changes


def _passwords(url: str) -> Iterator[str]:
    """What is secret in a URL: its password, a key in place of a user's name, and passwords among its parameters."""
    parts = urlsplit(url)
    if parts.password or len(parts.username or "") >= MIN_TOKEN_LENGTH:
        yield parts.password or parts.username or ""
    for name, _, value in (parameter.partition("=") for parameter in parts.query.split("&")):
        if "pass" in name.lower():
            yield value
