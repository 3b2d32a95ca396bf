"""What the set-up writes into .env: the values alone change, and the file is its owner's."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.env_file import read_env, with_values, write_env
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from tests.settings import Settings

TOKEN = "123:abc_DEF-4"
CHANGES: list[tuple[str, str, dict[str, str | None], str]] = [
    ("an empty file", "", {"admin_token": "abc"}, "ADMIN_TOKEN=abc\n"),
    ("a value", "A=1\nADMIN_TOKEN=old\nB=2\n", {"admin_token": "new"}, "A=1\nADMIN_TOKEN=new\nB=2\n"),
    ("blank lines above", "A=1\n\n\nB=2\n", {"b": "3"}, "A=1\n\n\nB=3\n"),
    ("a remark behind", "A=1  # mine # all\n", {"a": "2"}, "A=2  # mine # all\n"),
    ("a # in quotes is no remark", "A='1 # one' # mine\n", {"a": "2"}, "A=2 # mine\n"),
    ("export", "export A=1\n", {"a": "2"}, "export A=2\n"),
    ("an example", "# bot\n#TELEGRAM_BOT_TOKEN=\n\n# more\n", {"telegram_bot_token": TOKEN},
     f"# bot\n#TELEGRAM_BOT_TOKEN=\nTELEGRAM_BOT_TOKEN={TOKEN}\n\n# more\n"),
    ("no line end", "A=1", {"b": "2"}, "A=1\nB=2\n"),
    ("line ends of Windows", "A=1\r\n", {"b": "2"}, "A=1\r\nB=2\r\n"),
    ("two lines of one setting", "A=1\nB=2\nA=3\n", {"a": "4"}, "B=2\nA=4\n"),
    ("removal", "A=1\nB=2\nA=3\n", {"a": None}, "B=2\n"),
    ("removal of what is not there", "B=2\n", {"a": None}, "B=2\n"),
    ("small letters", "admin_token=old\n", {"admin_token": "new"}, "ADMIN_TOKEN=new\n"),
    ("spaces and quotes", "", {"instructions": "Be 'kind'\nand \\ short"},
     "INSTRUCTIONS='Be \\'kind\\'\nand \\\\ short'\n"),
    ("a name that ends alike", "MY_A=1\nA_FILE=x\n", {"a": "2"}, "MY_A=1\nA_FILE=x\nA=2\n"),
    ("a line that cannot be read", "A='open\nB=2\n", {"b": "3"}, "A='open\nB=3\n"),
    ("a remark that names it", "# A=1 was too small\n", {"b": "2"}, "# A=1 was too small\nB=2\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "changes", "after"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_only_the_values_change(before: str, changes: dict[str, str | None], after: str) -> None:
    """Remarks, order, blank lines and the lines of other settings are the owner's."""
    assert with_values(before, changes) == after


@given(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1))
def test_what_is_written_is_read_or_refused(value: str) -> None:
    """No text changes on the way through the file without a sentence."""
    if "${" in value:
        with pytest.raises(SettingsError, match="another setting"):
            with_values("#A=\n", {"a": f"{value}${{HOME}}"})
        return
    assert with_values(with_values("", {"a": value}), {"a": None}) == ""


def test_the_file_is_replaced_at_once_and_its_owners_alone(tmp_path: Path) -> None:
    """Also when others could read it before, and behind a link, which stays one."""
    elsewhere = tmp_path / "secrets.env"
    elsewhere.write_text("A=1\n")
    elsewhere.chmod(0o644)
    (tmp_path / ".env").symlink_to(elsewhere)
    write_env(tmp_path, with_values(read_env(tmp_path), {"admin_token": "J2nVxw0Zr8tq3LmC"}))
    assert (tmp_path / ".env").is_symlink()
    assert elsewhere.read_text() == "A=1\nADMIN_TOKEN=J2nVxw0Zr8tq3LmC\n"
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "secrets.env"]


@pytest.mark.parametrize(("step", "when"), [("fsync", "before"), ("replace", "before"), ("replace", "after")])
def test_killed_while_it_is_written_the_file_is_the_old_or_the_new_one(tmp_path: Path, step: str, when: str) -> None:
    """Never a part of one; the next set-up writes it as if nothing had happened."""
    (tmp_path / ".env").write_text("# mine\nA=1\n")
    child = os.fork()
    if child == 0:  # nothing of the test runner may run in it, so it ends by the kill alone
        real = getattr(os, step)

        def killed(*arguments: object) -> None:
            if when == "after":
                real(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, step, killed)
        try:
            write_env(tmp_path, with_values(read_env(tmp_path), {"a": "2" * 100_000}))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    expected = "# mine\nA=1\n" if when == "before" else f"# mine\nA={'2' * 100_000}\n"
    assert read_env(tmp_path) == expected
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.glob(".env.*"))
    write_env(tmp_path, with_values(read_env(tmp_path), {"a": "3"}))
    assert read_env(tmp_path) == "# mine\nA=3\n"


def test_the_settings_are_what_was_written(tmp_path: Path) -> None:
    """The file is read again by the product's own reader."""
    text = with_values("# mine\n", {"instructions": "Say 'hi' # always\n\tthen \\n stop", "sms_server_port": "9040"})
    write_env(tmp_path, text)
    settings = load_settings(Settings, tmp_path, {})
    assert (settings.instructions, settings.sms_server_port) == ("Say 'hi' # always\n\tthen \\n stop", 9040)
