"""The steps of the set-up: what each asks for, how it is checked, and how it is written into .env and put into force.

The files count here, not the settings that this process runs with: in try-out mode those name no account.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr

from relay.channels.registry import CHANNELS, AllSettings
from relay.channels.spec import ChannelSpec
from relay.config.checks import Finding, Severity
from relay.config.env_file import read_env, with_values, write_env
from relay.config.errors import SettingsError
from relay.config.loading import descriptions, load_settings
from relay.config.settings import Settings
from relay.config.sources import why_unreadable
from relay.config.types import BUILT_IN_SOURCES, weakness
from relay.core.errors import SendError
from relay.launcher.control import NoLauncherError, request_reload
from relay.web.public_address import WHAT as PUBLIC_URL

FACTS_FILE = "from-the-console.md"
"""The document in the knowledge folder that the set-up edits."""

TEST_ALERT = "This is a test from the console. Real alerts say what is wrong and what to do."

Check = Callable[[Settings], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class SetupField:
    """One setting on a form. choices: of a list to choose from; is_area: text of several lines."""

    key: str
    label: str
    choices: Sequence[str] = ()
    is_area: bool = False

    @property
    def help(self) -> str:
        return descriptions(AllSettings).get(self.key, "")

    @property
    def kind(self) -> str:
        default = AllSettings.model_fields[self.key]
        if "SecretStr" in str(default.annotation):
            return "secret"
        return "area" if self.is_area else "choice" if self.choices else "flag" if default.default is False else "text"


@dataclass(frozen=True, slots=True)
class Step:
    """One page. `check` returns findings about settings that are not written yet; one with a problem keeps them out.

    channel: the one that it connects, if any.
    """

    name: str
    title: str
    help: str
    entries: tuple[SetupField, ...]
    check: Check
    is_done: Callable[[Settings], bool]
    channel: ChannelSpec | None = None


async def _check_password(settings: Settings) -> list[Finding]:
    token = settings.admin_token
    if token is None:
        return [Finding(Severity.PROBLEM, "password", "enter one, or take the one that is proposed")]
    if why := weakness(token.get_secret_value()):
        return [Finding(Severity.PROBLEM, "password", f"it {why}")]
    return [Finding(Severity.FINE, "password", "strong enough for a console on the internet")]


async def _check_model(settings: Settings) -> list[Finding]:
    # Loaded here, because the gateway is not for a console that only shows.
    found: list[Finding] = await import_module("relay.llm.checks").check_model(settings, Path.cwd())
    return found


async def _check_nothing(_: Settings) -> list[Finding]:
    return []


def _channel_check(channel: ChannelSpec) -> Check:
    async def check(settings: Settings) -> list[Finding]:
        hosts = (one for one in (channel.host, channel) if one is not None and one.setup is not None)
        labels = {key: label for one in hosts if one.setup for key, label in one.setup.labels.items()}
        if missing := channel.missing(settings):
            names = ", ".join(labels.get(key.split()[0], key) for key in missing)
            return [Finding(Severity.PROBLEM, channel.title, f"still needed: {names}")]
        found = await channel.check(settings) if channel.check else []
        # Where the provider sends what comes in belongs to the last step.
        return [replace(one, severity=Severity.NOTE) if _is_of_address(one) else one for one in found]

    return check


def _is_of_address(finding: Finding) -> bool:
    return finding.severity is Severity.PROBLEM and (finding.what == PUBLIC_URL or finding.what.endswith("webhook"))


async def _check_address(settings: Settings) -> list[Finding]:
    """Whether requests from outside come in. A webhook that leads elsewhere is set by a click afterwards."""
    if settings.public_url is None:
        return [Finding(Severity.NOTE, PUBLIC_URL, "none: only channels that fetch their messages work")]
    if settings.admin_token is None:
        return [Finding(Severity.PROBLEM, PUBLIC_URL, "set the password first: without one it would close the console")]
    used = [channel for channel in connected(settings) if channel.check]
    if not used:
        return [Finding(Severity.NOTE, PUBLIC_URL, "no channel is connected yet that could be asked whether it works")]
    found = [one for channel in used if channel.check for one in await channel.check(settings)]
    here = [one for one in found if one.what == PUBLIC_URL or one.what.endswith("webhook")]
    return [replace(one, severity=Severity.NOTE) if one.what != PUBLIC_URL else one for one in here]


async def _check_alerts(settings: Settings) -> list[Finding]:
    if not settings.alert_urls:
        return [Finding(Severity.PROBLEM, "alerts", "enter an address, or skip this step")]
    # Loaded here, because it brings a hundred services along.
    tested = await import_module("relay.alerts.sending").send_each(settings.alert_urls, "Relay: test", TEST_ALERT)
    refused = "took no test message. Is the address right, and can it be reached?"
    return [
        Finding(Severity.FINE if taken else Severity.PROBLEM, kind, "took a test message" if taken else refused)
        for kind, taken in tested
    ]


def connected(settings: Settings) -> list[ChannelSpec]:
    """The channels whose account is entered."""
    return [channel for channel in CHANNELS if not channel.missing(settings)]


def _place(channel: ChannelSpec) -> tuple[bool, bool]:
    """Those that need no address on the internet come first, and those that another one serves last."""
    return channel.host is not None, channel.setup is not None and channel.setup.connect is not None


def _steps() -> Iterator[Step]:
    yield Step(
        "password",
        "Password",
        "It opens the console and the status pages. Without one, they open on this machine alone, until the relay has "
        "an address on the internet.",
        (SetupField("admin_token", "Password"),),
        _check_password,
        lambda settings: settings.admin_token is not None,
    )
    yield Step(
        "model",
        "Model",
        "The AI that answers. One of the three is enough; it is asked a one-word question now.",
        (
            SetupField("llm_source", "Which one answers", ("auto", *BUILT_IN_SOURCES)),
            SetupField("openrouter_api_key", "OpenRouter: key"),
            SetupField("openrouter_model", "OpenRouter: model"),
            SetupField("ollama_host", "Ollama: address"),
            SetupField("ollama_model", "Ollama: model"),
            SetupField("openai_base_url", "OpenAI-compatible server: address"),
            SetupField("openai_api_key", "OpenAI-compatible server: key"),
            SetupField("openai_model", "OpenAI-compatible server: model"),
        ),
        _check_model,
        lambda settings: (
            bool(settings.openrouter_api_key or settings.openai_base_url or settings.ollama_model)
            or settings.llm_source not in {"auto", "demo"}
        ),
    )
    yield Step(
        "assistant",
        "Instructions and knowledge",
        "Who the AI is, what it shall do, and what it knows about your business.",
        (
            SetupField("assistant_name", "Its name"),
            SetupField("business_name", "It speaks for"),
            SetupField("timezone", "Time zone"),
            SetupField("instructions", "Instructions", is_area=True),
            SetupField("knowledge_only", "Answer from the documents only"),
        ),
        _check_nothing,
        lambda settings: bool(settings.instructions or settings.business_name or settings.assistant_name),
    )
    for channel in sorted(CHANNELS, key=_place):
        if channel.setup is not None:
            entries = tuple(SetupField(key, label) for key, label in channel.setup.labels.items())
            yield Step(
                *(channel.platform, channel.title, channel.setup.help, entries, _channel_check(channel)),
                lambda settings, channel=channel: not channel.missing(settings),  # type: ignore[misc]
                channel,
            )
    yield Step(
        "address",
        "Public address",
        "Where the internet reaches this machine: the https:// address of your tunnel or proxy, without a path. "
        "Telegram needs none.",
        (SetupField("public_url", "Address"),),
        _check_address,
        lambda settings: settings.public_url is not None,
    )

    yield Step(
        "alerts",
        "Alerts",
        "Who is called when something is wrong: nobody is answered, sending fails, the model is away. Each address "
        "gets a test message now: mailto://user:password@example.com, tgram://bottoken/chatid, ntfy://topic, slack://...",
        (SetupField("alert_urls", "Addresses"),),
        _check_alerts,
        lambda settings: bool(settings.alert_urls),
    )


STEPS: dict[str, Step] = {step.name: step for step in _steps()}


def step_after(step: Step) -> Step | None:
    names = list(STEPS)
    return next((STEPS[name] for name in names[names.index(step.name) + 1 :]), None)


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a form. saved: it is in .env; reloaded: the launcher's response, None without a launcher."""

    findings: Sequence[Finding]
    offered: Mapping[str, Sequence[str]]
    saved: bool = False
    reloaded: Mapping[str, Any] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the next step may follow: the form is in .env, or the provider did what a button asked for."""
        return self.saved or (bool(self.findings) and all(one.severity is Severity.FINE for one in self.findings))

    @property
    def restarts_console(self) -> bool:
        return "admin" in (self.reloaded or {}).get("restarted", ())


class SetupFiles:
    """The settings in the files of a folder, as the next start would read them without try-out mode."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        # The launcher sets it in the environment of every server while it simulates.
        self._environ = {key: value for key, value in environ.items() if key != "SIMULATED"}

    def is_fixed(self, key: str) -> bool:
        """Whether the environment sets this one, which wins over .env."""
        return bool(self._environ.get(key.upper()) or self._environ.get(f"{key.upper()}_FILE"))

    def current(self) -> Settings:
        """Raises SettingsError."""
        return load_settings(AllSettings, self.folder, self._environ)

    def current_or_defaults(self) -> tuple[Settings, str]:
        """The settings, or the defaults with the reason when those in the files are refused."""
        try:
            return self.current(), ""
        except SettingsError as error:
            return AllSettings(), str(error)

    def with_changes(self, changes: Mapping[str, str | None]) -> Settings:
        """The settings that .env makes with these changes; nothing is written. Raises SettingsError."""
        with TemporaryDirectory() as beside:
            (Path(beside) / ".env").write_text(self._env_with(changes), encoding="utf-8", newline="")
            if (self.folder / "config.json").exists():
                shutil.copy(self.folder / "config.json", beside)
            return load_settings(AllSettings, Path(beside), self._environ)

    def _env_with(self, changes: Mapping[str, str | None]) -> str:
        try:
            return with_values(read_env(self.folder), changes)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f".env cannot be read: {why_unreadable(error)}.") from None

    async def submit(self, step: Step, form: Mapping[str, str]) -> Submission:
        """Check what was entered; without a problem it is written into .env and put into force."""
        try:
            changes = _changes(step, form, self.current_or_defaults()[0])
            settings = self.with_changes(changes)
            offered = await _offered(step, settings)
            findings = await step.check(settings)
        except SettingsError as error:
            sentences = str(error).splitlines()
            return Submission([Finding(Severity.PROBLEM, step.title, sentence) for sentence in sentences], {})
        except SendError as error:
            return Submission([Finding(Severity.PROBLEM, step.title, f"{error.message} ({error.code})")], {})
        if any(finding.severity is Severity.PROBLEM for finding in findings):
            return Submission(findings, offered)
        try:
            write_env(self.folder, self._env_with(changes))  # as it is now: others may have written during the check
            if "facts" in form:
                self.write_facts(settings, form["facts"])
        except SettingsError as error:
            return Submission([Finding(Severity.PROBLEM, step.title, str(error))], offered)
        except OSError as error:
            return Submission([Finding(Severity.PROBLEM, ".env", f"cannot be written: {error.strerror}")], offered)
        return Submission(findings, {}, saved=True, reloaded=self.reload())

    def reload(self) -> Mapping[str, Any] | None:
        """Have the launcher put the files into force; None when none runs here."""
        try:
            return request_reload(self.folder)
        except NoLauncherError:
            return None

    def read_facts(self, settings: Settings) -> str:
        path = self._facts(settings)
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def write_facts(self, settings: Settings, text: str) -> None:
        """Write the document of the set-up; an empty one is removed. Raises OSError."""
        path = self._facts(settings)
        if not text.strip():
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{FACTS_FILE}.new")
        beside.write_text(text.strip() + "\n", encoding="utf-8")
        os.replace(beside, path)  # noqa: PTH105 (as above)

    def documents(self, settings: Settings) -> list[str]:
        """The names of the files in the knowledge folder."""
        folder = self.folder / settings.knowledge_folder
        found = folder.rglob("*") if folder.is_dir() else ()
        return sorted(str(path.relative_to(folder)) for path in found if path.is_file() and path.name[0] != ".")

    def _facts(self, settings: Settings) -> Path:
        return self.folder / settings.knowledge_folder / FACTS_FILE


def secrets_of(step: Step) -> list[str]:
    return [entry.key for entry in step.entries if entry.kind == "secret"]


def shown_value(settings: Settings, key: str) -> str:
    """A setting as a form shows it; a secret is never shown."""
    match getattr(settings, key):
        case None | False | SecretStr():
            return ""
        case True:
            return "true"
        case value:
            return str(value)


def _changes(step: Step, form: Mapping[str, str], settings: Settings) -> dict[str, str | None]:
    """The settings that differ from those in force; an empty secret keeps the one there is."""
    changes: dict[str, str | None] = {}
    for entry in step.entries:
        value = "\n".join(form.get(entry.key, "").splitlines()).strip()
        if entry.kind == "secret":
            if value:
                changes[entry.key] = value
        elif value != shown_value(settings, entry.key):
            # An empty value counts as not set, so a switch that config.json turns on is turned off by name.
            changes[entry.key] = value or ("false" if entry.kind == "flag" else None)
    return changes


async def _offered(step: Step, settings: Settings) -> Mapping[str, Sequence[str]]:
    """What the provider has for a channel that lacks a setting. Raises SendError."""
    channel = step.channel
    if channel is None or channel.setup is None or channel.setup.offer is None or not channel.missing(settings):
        return {}
    return await channel.setup.offer(settings)
