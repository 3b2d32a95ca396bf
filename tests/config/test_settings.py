"""Settings: where they come from, what is refused and with which message, and what the try-out mode changes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from relay.channels.registry import has_any_credential
from relay.channels.sms.settings import SIMULATED_PHONE_NUMBER, missing_credentials
from relay.config.errors import SettingsError
from relay.config.hosts import reachable
from relay.config.loading import load_settings
from relay.config.settings import SIMULATED_DATABASE_URL
from relay.config.types import weakness
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SID = "AC" + "0" * 32


def load(folder: Path, *, config: Any = None, dotenv: str | None = None, **environ: str) -> Settings:
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if dotenv is not None:
        (folder / ".env").write_text(dotenv)
    return load_settings(Settings, folder, environ)


def refusal(folder: Path, **sources: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(folder, **sources)
    return str(error.value)


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    """An empty folder and an empty environment are enough."""
    settings = load(tmp_path)
    assert settings == Settings()
    assert (settings.llm_server_port, settings.sms_server_port, settings.telegram_server_port) == (8033, 8040, 8041)
    assert (settings.admin_server_port, settings.simulator_port) == (8042, 8043)
    assert settings.model_url == "http://127.0.0.1:8033"
    assert settings.telegram_mode == "polling"
    assert settings.history_exchanges == 5


def test_the_environment_wins_over_dotenv_and_dotenv_over_config(tmp_path: Path) -> None:
    """Three sources, one key each that only the weaker has."""
    settings = load(
        tmp_path,
        config={"sms_server_port": 1, "llm_server_port": 1, "admin_server_port": 1},
        dotenv="SMS_SERVER_PORT=2\nLLM_SERVER_PORT=2\n",
        SMS_SERVER_PORT="3",
    )
    assert (settings.sms_server_port, settings.llm_server_port, settings.admin_server_port) == (3, 2, 1)


def test_what_is_empty_is_not_set(tmp_path: Path) -> None:
    """A template with empty lines changes nothing; an empty variable hides nothing."""
    settings = load(
        tmp_path,
        config={"openrouter_model": "", "public_url": None, "twilio_auth_token": "from config"},
        dotenv="TWILIO_AUTH_TOKEN=\n",
        TWILIO_AUTH_TOKEN="",
    )
    assert settings.openrouter_model == "openrouter/auto"
    assert settings.twilio_auth_token == SecretStr("from config")


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    """KEY_FILE names it; the line break at its end is no part of the secret."""
    (tmp_path / "secret").write_text("s3cret\n")
    assert load(tmp_path, ADMIN_TOKEN_FILE=str(tmp_path / "secret")).admin_token == SecretStr("s3cret")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Fails loudly instead of running without a secret."""
    sentence = "ADMIN_TOKEN_FILE names a file that cannot be read: /no/such/file: no such file or directory."
    assert sentence in refusal(tmp_path, ADMIN_TOKEN_FILE="/no/such/file")


def test_foreign_variables_of_the_environment_are_none_of_our_business(tmp_path: Path) -> None:
    """Even those that look like ours in small letters."""
    assert load(tmp_path, PATH="/bin", sms_server_port="1", LOG_FILE="x") == Settings()


def test_a_demo_faq_file_is_a_setting_and_no_file_with_a_value(tmp_path: Path) -> None:
    """Its name ends like those that name files."""
    assert load(tmp_path, DEMO_FAQ_FILE="answers.json").demo_faq_file == "answers.json"


SECRETS = [key for key, info in Settings.model_fields.items() if info.annotation == SecretStr | None]

REFUSALS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("broken JSON", {"config": '{"a": 1,}'}, ["config.json is not valid JSON", "line 1, column", "the last entry"]),
    ("JSON that is no object", {"config": "[]"}, ["config.json must be one JSON object"]),
    ("an unknown key", {"config": {"sms_port": 1}}, ["config.json: there is no setting called sms_port",
                                                    "Did you mean sms_server_port?"]),
    ("a key in capitals", {"config": {"LLM_SOURCE": "ollama"}}, ["Did you mean llm_source?"]),
    ("an unknown key like no other", {"config": {"zzz": 1}}, ["docs/SETTINGS.md"]),
    ("a mistyped token", {"dotenv": "TELEGRAM_BOT_TOKN=1:a"}, [".env", "Did you mean TELEGRAM_BOT_TOKEN?"]),
    ("a port that is none", {"SMS_SERVER_PORT": "eighty"}, ["the environment: sms_server_port", "Port of the SMS"]),
    ("a port out of range", {"SMS_SERVER_PORT": "70000"}, ["65535"]),
    ("a URL without a scheme", {"PUBLIC_URL": "example.org"}, ["public_url", "full URL"]),
    ("a URL with a query", {"PUBLIC_URL": "https://example.org/?a=1"}, ["full URL"]),
    ("a URL with an impossible port", {"PUBLIC_URL": "https://example.org:99999"}, ["full URL"]),
    ("a URL with a broken host", {"PUBLIC_URL": "https://[::1"}, ["full URL"]),
    ("a public URL by http", {"PUBLIC_URL": "http://x.ngrok-free.dev"}, ["https://x.ngrok-free.dev"]),
    ("a webhook by http", {"PUBLIC_URL": "http://x.ngrok-free.dev/sms/webhook"}, ["https://, as in https://x.ngrok"]),
    ("a guide's public URL", {"PUBLIC_URL": "https://YOUR-NAME.ngrok-free.dev"}, ["example of a guide"]),
    ("another guide's public URL", {"PUBLIC_URL": "https://your.name"}, ["example of a guide"]),
    ("a public URL in brackets", {"PUBLIC_URL": "https://<your tunnel>"}, ["example of a guide"]),
    ("a guide's bot token", {"TELEGRAM_BOT_TOKEN": "123456789:the-string-from-BotFather"}, ["example of a guide"]),
    ("a guide's auth token", {"TWILIO_AUTH_TOKEN": "your-auth-token"}, ["twilio_auth_token", "example of a guide"]),
    ("a guide's key", {"OPENROUTER_API_KEY": "sk-or-..."}, ["openrouter_api_key", "example of a guide"]),
    ("a key in brackets", {"OPENAI_API_KEY": "<key>"}, ["example of a guide"]),
    ("a line without =", {"dotenv": "# bot\n\nTELEGRAM_BOT_TOKEN\n"},
     [".env, line 3 has no =", "TELEGRAM_BOT_TOKEN=value"]),
    ("a sentence among the settings", {"dotenv": "LOG_LEVEL=info\njust text"}, [".env, line 2 has no =", "NAME=value"]),
    ("a setting as in YAML", {"dotenv": "log_level: info"}, [".env, line 1 has no =", "LOG_LEVEL=value"]),
    ("an exported name without a value", {"dotenv": "export LOG_LEVEL"}, ["line 1", "LOG_LEVEL=value"]),
    ("a quote that is not closed", {"dotenv": 'LOG_LEVEL="info\nLOG_FORMAT=text'}, ["line 1", "quote"]),
    ("half a number", {"SMS_SERVER_PORT": "80.5"}, ["must be a whole number"]),
    ("a number below the least", {"HISTORY_EXCHANGES": "-1"}, ["must be 0 or more"]),
    ("a price list of words", {"LLM_PRICES": "cheap"}, ["must be a JSON object", '{"gpt-x": [0.15, 0.6]}']),
    ("a price without its half", {"LLM_PRICES": '{"gpt-y": [1]}'}, ["gpt-y", '{"gpt-x": [0.15, 0.6]}']),
    ("a price of no country", {"SMS_COUNTRY_USD": '{"Germany": 0.1}'}, ["sms_country_usd"]),
    ("an unknown mode", {"TELEGRAM_MODE": "pigeon"}, ["telegram_mode", "'polling' or 'webhook'"]),
    ("an API key's SID", {"TWILIO_ACCOUNT_SID": "SK" + "0" * 32}, ["twilio_account_sid", "AC and 32 hex digits"]),
    ("an account as a key", {"TWILIO_API_KEY_SID": "AC" + "0" * 32}, ["twilio_api_key_sid", "SK and 32 hex digits"]),
    ("a service that is none", {"TWILIO_MESSAGING_SERVICE_SID": "MG1"}, ["MG and 32 hex digits"]),
    ("a number without a plus", {"TWILIO_PHONE_NUMBER": "(234) 567-8900"}, ["country code and number"]),
    ("half a bot token", {"TELEGRAM_BOT_TOKEN": "AAabc"}, ["telegram_bot_token", "@BotFather"]),
    ("a webhook secret with a space", {"TELEGRAM_WEBHOOK_SECRET": "a b"}, ["telegram_webhook_secret", "A-Z a-z 0-9"]),
    ("another database", {"DATABASE_URL": "mysql://x"}, ["database_url must begin with"]),
    ("a broken database URL", {"DATABASE_URL": "postgresql+psycopg://[::1/x"}, ["database_url is not a URL"]),
    ("not a number", {"STOP_SECONDS": "nan"}, ["stop_seconds"]),
    ("not a truth", {"SIMULATED": "perhaps"}, ["simulated"]),
]  # fmt: skip


@pytest.mark.parametrize(("sources", "expected"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_a_mistake_is_refused_with_words_that_help(
    tmp_path: Path, sources: dict[str, Any], expected: list[str]
) -> None:
    """The source, the key, what is wrong, what to write instead."""
    sentence = refusal(tmp_path, **sources)
    for text in expected:
        assert text in sentence


@pytest.mark.parametrize("sources", [row[1] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_no_refusal_has_the_words_of_a_library(tmp_path: Path, sources: dict[str, Any]) -> None:
    """Such as pydantic's "Input should be a valid integer, unable to parse string as an integer"."""
    assert not re.search(
        r"[Ii]nput|unable to|Field required|python-dotenv|parse|Expecting|codec|Errno", refusal(tmp_path, **sources)
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PUBLIC_URL", "https://yourbakery.example"),
        ("PUBLIC_URL", "https://your-pizza.example:8443/"),
        ("PUBLIC_URL", "https://namely.yours.example"),
        ("PUBLIC_URL", "https://xxl-shop.example"),
        ("PUBLIC_URL", "http://127.0.0.1:8040"),
        ("OPENAI_API_KEY", "EMPTY"),
        ("OPENAI_API_KEY", "sk-no-key-required"),
        ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef"),
        ("OPENROUTER_API_KEY", "sk-or-v1-yourselfxxx..a"),
        ("TELEGRAM_BOT_TOKEN", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"),
    ],
)
def test_what_only_resembles_an_example_is_taken(tmp_path: Path, key: str, value: str) -> None:
    """Names that begin like those of the guides, and keys of servers that want any."""
    settings = load(tmp_path, **{key: value})
    assert getattr(settings, key.lower()) is not None


@pytest.mark.parametrize(
    "text", ["", "# a remark\n\n", "LOG_LEVEL=\n", "export LOG_LEVEL=info\r\n", "LOG_LEVEL = 'info' # x"]
)
def test_lines_that_are_settings_remarks_or_blank_are_taken(tmp_path: Path, text: str) -> None:
    """A name with = and nothing behind it counts as not set."""
    assert load(tmp_path, dotenv=text).log_level == "info"


def test_every_line_without_a_value_is_named(tmp_path: Path) -> None:
    """By its number alone: it may hold a secret."""
    message = refusal(tmp_path, dotenv="hunter2\nLOG_LEVEL=info\nhunter3")
    assert [line[:12] for line in message.splitlines()] == [".env, line 1", ".env, line 3"]
    assert "hunter" not in message


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    """One sentence each, a line each."""
    message = refusal(tmp_path, SMS_SERVER_PORT="x", TELEGRAM_MODE="y", PUBLIC_URL="z")
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize("key", SECRETS)
def test_no_refusal_repeats_a_secret(tmp_path: Path, key: str) -> None:
    """A wrong secret is a secret too."""
    hidden = "hunter2 is my secret"
    message = ""
    try:
        message = repr(load(tmp_path, **{key.upper(): hidden}))
    except SettingsError as error:
        message = str(error)
    assert hidden not in message


def test_every_unknown_key_is_named_at_once(tmp_path: Path) -> None:
    """A line each, so that a file is corrected in one go."""
    message = refusal(tmp_path, dotenv="OPENROUTER_APIKEY=a\nTWILO_AUTH_TOKEN=b\n")
    assert [line.split("mean ")[1] for line in message.splitlines()] == ["OPENROUTER_API_KEY?", "TWILIO_AUTH_TOKEN?"]


@pytest.mark.parametrize("name", [".env", "config.json"])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_bytes(b"\n# Caf\xe9\n"), "line 2 has characters of another encoding than UTF-8"),
        (lambda path: path.write_bytes("{}".encode("utf-16")), "line 1 has characters of another encoding than UTF-8"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.symlink_to("not-mounted"), "no such file or directory"),
    ],
    ids=["another encoding", "UTF-16", "a folder", "a link that leads nowhere"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, make: Callable[[Path], Any], why: str) -> None:
    """In words of ours; a start without its settings would be another product."""
    make(tmp_path / name)
    assert refusal(tmp_path) == f"{name} cannot be read: {why}. Make it a readable UTF-8 file, or remove it."


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Windows' Notepad writes one."""
    (tmp_path / "config.json").write_text('{"sms_server_port": 9}', encoding="utf-8-sig")
    (tmp_path / ".env").write_text("LLM_SERVER_PORT=8", encoding="utf-8-sig")
    settings = load(tmp_path)
    assert (settings.sms_server_port, settings.llm_server_port) == (9, 8)


@given(text=st.text())
def test_any_config_text_is_read_or_refused_with_a_settings_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Never another exception."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "config.json").write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(SettingsError):
        assert load_settings(Settings, folder, {})


@given(
    values=st.dictionaries(
        st.sampled_from(sorted(Settings.model_fields)),
        st.text() | st.integers() | st.lists(st.integers()) | st.floats() | st.dictionaries(st.text(), st.none()),
    )
)
def test_any_value_is_taken_or_refused_with_a_settings_error(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    """Whatever stands in config.json under a known key."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    with contextlib.suppress(SettingsError):
        assert load_settings(Settings, folder, {})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:11500", "http://127.0.0.1:11500"),
        (":11500", "http://127.0.0.1:11500"),
        ("gpu.lan", "http://gpu.lan:11434"),
        ("http://gpu.lan:11434/", "http://gpu.lan:11434"),
        ("https://gpu.lan/ollama", "https://gpu.lan/ollama"),
    ],
)
def test_ollama_host_is_understood_as_ollama_itself_writes_it(tmp_path: Path, written: str, meant: str) -> None:
    """The variable may have been set for Ollama, not for us."""
    assert load(tmp_path, OLLAMA_HOST=written).ollama_host == meant


def test_capitals_and_spaces_around_a_value_are_forgiven(tmp_path: Path) -> None:
    """LOG_LEVEL=INFO is the usual spelling; a pasted token brings its line break along."""
    settings = load(
        tmp_path, LOG_LEVEL="INFO", LLM_SOURCE=" Ollama", TELEGRAM_BOT_TOKEN="1:abc\n", PUBLIC_URL=" https://a.b/ "
    )
    assert (settings.log_level, settings.llm_source, settings.public_url) == ("info", "ollama", "https://a.b")
    assert settings.telegram_bot_token == SecretStr("1:abc")


TWILIO = {"twilio_account_sid": SID, "twilio_auth_token": "t", "twilio_phone_number": "+12345678900"}
CREDENTIALS: list[tuple[dict[str, Any], bool, bool]] = [
    ({}, False, False),
    (TWILIO, True, True),
    ({**TWILIO, "twilio_phone_number": None, "twilio_messaging_service_sid": "MG" + "0" * 32}, True, True),
    ({**TWILIO, "twilio_phone_number": None}, True, False),
    ({**TWILIO, "twilio_api_key_sid": "SK" + "0" * 32, "twilio_api_key_secret": "s"}, True, True),
    ({**TWILIO, "twilio_api_key_sid": "SK" + "0" * 32}, True, False),
    ({**TWILIO, "twilio_api_key_secret": "s"}, True, False),
    ({"twilio_api_key_secret": "s"}, True, False),
    ({"telegram_bot_token": "1:a"}, True, False),
    ({"twilio_auth_token": "t"}, True, False),
    ({"openrouter_api_key": "k", "admin_token": "a"}, False, False),
]


@pytest.mark.parametrize(("values", "some", "sms"), CREDENTIALS)
def test_credentials_of_platforms_are_recognised(values: dict[str, Any], some: bool, sms: bool) -> None:
    """Any of a platform's ends the try-out mode; a model's key does not."""
    settings = Settings(**values)
    assert (has_any_credential(settings), not missing_credentials(settings)) == (some, sms)


@pytest.mark.parametrize(
    ("values", "checked"),
    [
        ({}, False),
        ({"twilio_auth_token": "t"}, True),
        ({"twilio_auth_token": "t", "validate_twilio_signature": False}, False),
    ],
)
def test_signatures_are_checked_as_soon_as_there_is_a_token(values: dict[str, Any], checked: bool) -> None:
    """Unless the settings say otherwise."""
    assert Settings(**values).check_signatures is checked


def test_the_try_out_mode_leaves_every_real_credential_out(tmp_path: Path) -> None:
    """Nothing of the real accounts is left in the settings of a simulated server."""
    real = {**TWILIO, "telegram_bot_token": "77:real", "telegram_webhook_secret": "real", "twilio_auth_token": "real-t"}
    real |= {"twilio_api_key_sid": "SK" + SID[2:], "twilio_api_key_secret": "real-key"}
    settings = load(tmp_path, config={**real, "public_url": "https://real.example"}, SIMULATED="true")
    assert settings.simulated
    assert settings.twilio_api_base_url == settings.telegram_api_base_url == "http://127.0.0.1:8043"
    assert settings.twilio_phone_number == SIMULATED_PHONE_NUMBER
    assert settings.database_url == SIMULATED_DATABASE_URL
    text = f"{settings!r} {settings.secrets()}"
    assert "real" not in text
    assert SID[2:] not in text


def test_the_try_out_mode_keeps_a_database_that_was_named(tmp_path: Path) -> None:
    """Only the default changes."""
    settings = load(tmp_path, SIMULATED="true", DATABASE_URL="sqlite:///mine.db")
    assert settings.database_url == "sqlite:///mine.db"


def test_all_secrets_are_known_to_the_log_filter() -> None:
    """Every secret kind of value, and the database's password, as written and as meant."""
    secrets = {key: f"1:{key}" for key in SECRETS}
    secrets["telegram_webhook_secret"] = "webhook-secret"
    settings = Settings(**{**secrets, "database_url": "postgresql+psycopg://me:p%40ss@db/relay"})
    assert {*secrets.values(), "p%40ss", "p@ss"} <= set(settings.secrets())


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql+psycopg://me:geheim@db/relay?sslmode=require", {"geheim"}),
        ("postgresql+psycopg://db/relay?user=relay&password=ge%2Fheim&sslmode=require", {"ge%2Fheim", "ge/heim"}),
        ("postgresql+psycopg://db/relay?sslkey=/k.pem&sslpassword=geheim", {"geheim"}),
        ("postgresql+psycopg://relay@db/relay", set()),
        ("postgresql+psycopg://0123456789abcdef:@db/relay", {"0123456789abcdef"}),
        ("sqlite:///passwords.db", set()),
    ],
)
def test_what_is_secret_in_a_url(url: str, secrets: set[str]) -> None:
    """The name of a user or of a file is not."""
    assert set(Settings(database_url=url).secrets()) == secrets


CHOSEN = ("admin_token", "internal_token", "telegram_webhook_secret")
GUIDES = "\n".join(page.read_text(encoding="utf-8") for page in (*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")))
PUBLISHED = re.findall(r"(?:ADMIN_TOKEN|INTERNAL_TOKEN|WEBHOOK_SECRET)=([^\s`\"'$/]+)|credentials: ([\w-]+)", GUIDES)
WEAK = [
    *("x", "short-token-15c", "1234567890", "the-admin-token", "a-long-random-string", "A_Long_Random_String"),
    *("your-admin-token-here", "change-me-change-me", "replace_this_secret_token", "xxxxxxxxxxxxxxxxxxxx"),
    *("MySecretAdminPassword123", "put-your-webhook-secret-here", "a" * 40),
]


def test_the_guides_have_examples_of_tokens() -> None:
    """So that the next test is about them too."""
    assert PUBLISHED


@pytest.mark.parametrize(
    ("pasted", "url"),
    [
        ("https://host.example/sms/webhook", "https://host.example"),
        ("https://host.example/sms/webhook#rc=3&rp=all", "https://host.example"),
        ("https://host.example/base/telegram/webhook/", "https://host.example/base"),
        ("https://host.example/sms/delivery", "https://host.example"),
        ("https://host.example/base/", "https://host.example/base"),
        ("https://host.example/webhook", "https://host.example/webhook"),
        ("https://host.example/sms", "https://host.example/sms"),
    ],
)
def test_a_webhook_pasted_as_public_url_is_cut_to_its_host(tmp_path: Path, pasted: str, url: str) -> None:
    """It is what the provider's console shows; the path before it is that of a proxy."""
    token = "a-token-of-the-tests"
    assert load(tmp_path, PUBLIC_URL=pasted, ADMIN_TOKEN=token).public_url == url


@pytest.mark.parametrize("key", CHOSEN)
@pytest.mark.parametrize("token", [*WEAK, *(one or other for one, other in PUBLISHED)])
def test_a_weak_token_is_refused_while_public_url_is_set(tmp_path: Path, key: str, token: str) -> None:
    """A reader of our guides knows it; the sentence says how to make one."""
    sentence = refusal(tmp_path, config={key: token, "public_url": "https://relay.example.com"})
    assert key in sentence
    assert "secrets.token_urlsafe" in sentence
    assert len(token) == 1 or token not in sentence
    assert getattr(load(tmp_path, config={key: token}), key).get_secret_value() == token
    simulated = load(tmp_path, config={key: token, "public_url": "https://relay.example.com"}, SIMULATED="true")
    assert simulated.public_url is None


@given(st.binary(min_size=12, max_size=60))
@example(bytes(12))
def test_a_random_token_is_taken(entropy: bytes) -> None:
    """Sixteen characters are enough."""
    token = base64.urlsafe_b64encode(entropy).decode()
    assert len(set(token)) < 8 or weakness(token) is None


def test_every_weak_token_is_named_at_once_with_its_source(tmp_path: Path) -> None:
    """One sentence each; `--check` shows each as a problem."""
    (tmp_path / "config.json").write_text(json.dumps({"admin_token": "x", "public_url": "https://relay.example.com"}))
    (tmp_path / ".env").write_text("INTERNAL_TOKEN=y")
    with pytest.raises(SettingsError) as refused:
        load_settings(Settings, tmp_path, {})
    first, second = sorted(str(refused.value).splitlines())
    assert first.startswith(".env: internal_token ")
    assert second.startswith("config.json: admin_token ")


def test_settings_cannot_be_changed_afterwards() -> None:
    """One value for the whole life of a server."""
    with pytest.raises(ValidationError):
        Settings().sms_server_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("bind_host", "host", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8033"),
        ("0.0.0.0", "127.0.0.1", "http://127.0.0.1:8033"),
        ("::", "::1", "http://[::1]:8033"),
        ("10.1.2.3", "10.1.2.3", "http://10.1.2.3:8033"),
    ],
)
def test_the_channels_find_the_llm_server_wherever_it_listens(bind_host: str, host: str, url: str) -> None:
    """An address for all interfaces is no address to call."""
    assert reachable(bind_host) == host
    assert Settings(bind_host=bind_host).model_url == url


def test_a_program_with_a_bad_setting_ends_with_status_2_and_the_sentence_alone(tmp_path: Path) -> None:
    """No traceback for the operator."""
    (tmp_path / "config.json").write_text('{"sms_prt": 1}')
    code = "from relay.config import loading, settings; loading.load_or_exit(settings.Settings)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "relay.example.com"])
def test_a_console_that_others_can_reach_takes_a_strong_token(tmp_path: Path, host: str) -> None:
    """In a container it must listen on more than loopback, whether or not there is a public address."""
    assert "set admin_token" in refusal(tmp_path, config={"admin_bind_host": host})
    assert "admin_token" in refusal(tmp_path, config={"admin_bind_host": host, "admin_token": "short"})
    strong = {"admin_bind_host": host, "admin_token": "Yk3-a-long-one-of-the-test-9Qz"}
    assert load(tmp_path, config=strong).console_is_exposed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_a_console_on_this_machine_needs_no_token(tmp_path: Path, host: str) -> None:
    """As before."""
    assert not load(tmp_path, config={"admin_bind_host": host}).console_is_exposed


def test_empty_values_of_the_shipped_config_do_not_hide_the_environment(tmp_path: Path) -> None:
    """config.json has the keys of the accounts, empty: that means not set, there and in the environment."""
    shipped = json.loads((ROOT / "config.json").read_text())
    empty = {key for key, value in shipped.items() if value == ""}
    assert {"openrouter_api_key", "twilio_account_sid", "twilio_auth_token", "telegram_bot_token"} <= empty
    assert not empty & load(tmp_path, config=shipped).model_fields_set
    token = load(tmp_path, config=shipped, TELEGRAM_BOT_TOKEN="1:" + "a" * 35, TWILIO_AUTH_TOKEN="")
    assert token.model_fields_set - set(shipped) == set()
    assert "telegram_bot_token" in token.model_fields_set
    assert "twilio_auth_token" not in token.model_fields_set
