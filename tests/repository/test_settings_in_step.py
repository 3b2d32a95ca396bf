"""The settings page, .env.example and the code know the same settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.config.docs import env_example, grouped, settings_page
from relay.config.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_settings_page_is_in_step_with_the_code() -> None:
    """`make format` writes it anew."""
    assert (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8") == settings_page()


def test_the_example_of_dotenv_is_in_step_with_the_code() -> None:
    """`make format` writes it anew."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


def test_both_pages_name_every_setting_once() -> None:
    """No chapter is missing or overlaps."""
    assert [key for _, keys in grouped() for key in keys] == list(Settings.model_fields)
    for key in Settings.model_fields:
        assert settings_page().count(f"\n| `{key}` |") == 1
        assert len(re.findall(rf"^#{key.upper()}=", env_example(), re.MULTILINE)) == 1


def test_the_example_of_dotenv_with_every_line_taken_in_is_the_default(tmp_path: Path) -> None:
    """Whoever removes every # changes nothing."""
    taken_in = re.sub(r"^#([A-Z_]+=)", r"\1", env_example(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(taken_in, encoding="utf-8")
    assert load_settings(tmp_path, {}) == Settings()


@pytest.mark.parametrize("key", Settings.model_fields)
def test_a_setting_has_a_description_and_is_used(key: str) -> None:
    """A setting that nothing reads is a promise that nobody keeps."""
    assert (Settings.model_fields[key].description or "").endswith((".", ")"))
    files = [*ROOT.glob("*.py"), *(path for init in ROOT.glob("*/__init__.py") for path in init.parent.rglob("*.py"))]
    readers = [path for path in files if re.search(rf"\.{key}\b", path.read_text(encoding="utf-8"))]
    assert readers


def test_the_config_file_in_the_repository_changes_nothing() -> None:
    """A fresh clone starts in try-out mode."""
    assert (ROOT / "config.json").read_text(encoding="utf-8").strip() == "{}"
