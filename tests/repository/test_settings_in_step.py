"""The settings page, .env.example and the code know the same settings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from relay.channels.registry import AllSettings
from relay.config.docs import by_chapter, env_example, settings_page
from relay.config.loading import descriptions, load_settings
from relay.launcher.settings_docs import CHAPTERS

ROOT = Path(__file__).resolve().parents[2]
PAGE = settings_page(AllSettings, CHAPTERS)
EXAMPLE = env_example(AllSettings, CHAPTERS)


def test_the_settings_page_is_in_step_with_the_code() -> None:
    """`make format` writes it anew."""
    assert (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8") == PAGE


def test_the_example_of_dotenv_is_in_step_with_the_code() -> None:
    """`make format` writes it anew."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == EXAMPLE


def test_both_pages_name_every_setting_once() -> None:
    """No chapter is missing or overlaps."""
    assert [key for _, keys in by_chapter(AllSettings, CHAPTERS) for key in keys] == list(AllSettings.model_fields)
    for key in AllSettings.model_fields:
        assert PAGE.count(f"\n| `{key}` |") == 1
        assert len(re.findall(rf"^#{key.upper()}=", EXAMPLE, re.MULTILINE)) == 1


def test_the_example_of_dotenv_with_every_line_taken_in_is_the_default(tmp_path: Path) -> None:
    """Removing every # changes nothing."""
    taken_in = re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE, flags=re.MULTILINE)
    (tmp_path / ".env").write_text(taken_in, encoding="utf-8")
    assert load_settings(AllSettings, tmp_path, {}) == AllSettings()


@pytest.mark.parametrize("key", AllSettings.model_fields)
def test_a_setting_has_a_description_and_is_used(key: str) -> None:
    """A setting that nothing reads has no effect."""
    assert descriptions(AllSettings)[key].endswith((".", ")"))
    files = [*ROOT.glob("*.py"), *(path for init in ROOT.glob("*/__init__.py") for path in init.parent.rglob("*.py"))]
    read = re.compile(rf'\.{key}\b|_key = "{key}"|_key="{key}"')
    readers = [path for path in files if read.search(path.read_text(encoding="utf-8"))]
    assert readers


def test_the_config_file_in_the_repository_changes_nothing(tmp_path: Path) -> None:
    """It shows the settings that owners look for first, at their defaults: a fresh clone starts in try-out mode."""
    text = (ROOT / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert load_settings(AllSettings, tmp_path, {}).model_dump() == AllSettings().model_dump()
    ports = {"llm_server_port", "sms_server_port", "telegram_server_port"}
    credentials = {"twilio_account_sid", "twilio_auth_token", "twilio_phone_number", "telegram_bot_token"}
    assert set(json.loads(text)) >= {*ports, *credentials, "llm_source", "openrouter_model", "openrouter_api_key"}
