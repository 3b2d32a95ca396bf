"""Logs: readable, unforgeable, and without secrets."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from relay.config.logs import REQUEST_ID, JsonLines, LogFile, OncePerMinute, Redactor, TextLines

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "123456789:AAFakeFakeFakeFakeFakeFakeFakeFakeFak"


def basic(secret: str) -> str:
    """As Twilio's SDK sends it."""
    return base64.b64encode(f"AC0123:{secret}".encode()).decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in a Basic header": basic,
    "in a Basic header of another user": lambda secret: base64.b64encode(f"me:{secret}".encode()).decode(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 of more": lambda secret: base64.urlsafe_b64encode(f"<{secret}>, so".encode()).decode(),
    "URL": lambda secret: quote(secret, safe=""),
    "URL path": quote,
    "URL, lower case": lambda secret: re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
    "form": quote_plus,
    "JavaScript": lambda secret: quote(secret, safe="-_.!~*'()"),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False),
    "JSON of PHP": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "hexadecimal": lambda secret: secret.encode().hex(),
    "hexadecimal, upper case": lambda secret: secret.encode().hex().upper(),
    "URL, every character": lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
    "URL, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "HTML, every character": lambda secret: "".join(f"&#{ord(character)};" for character in secret),
    "JSON, every character": lambda secret: "".join(
        f"\\u{unit[0]:02x}{unit[1]:02x}" for unit in batched(secret.encode("utf-16-be"))
    ),
}
"""Ways in which another program may repeat a secret."""


def batched(data: bytes) -> Iterator[tuple[int, int]]:
    """Pairs of bytes."""
    return zip(data[::2], data[1::2], strict=True)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=6, max_size=40))
@example("0123456789abcdef0123456789abcdef")
@example('p/ss+w "ör&d')
@example("sécret")
def test_a_secret_is_redacted_however_it_is_encoded(encode: Callable[[str], str], secret: str) -> None:
    """In every form that a provider's text may repeat it in."""
    assume(secret not in "[secret]")  # what stands for it could not be told from it
    repeated = encode(secret)
    redacted = Redactor([secret, "another-secret"]).redact(f"no <{repeated}> here, and no another-secret")
    assert redacted.startswith("no <")
    assert redacted.endswith("> here, and no [secret]") or secret in "> here, and no another-secret"
    assert repeated.strip('"=') not in redacted
    assert secret not in redacted.replace("[secret]", "") or len(set(secret)) < 3


@pytest.mark.parametrize("encode", ["plain", "base64", "in a Basic header", "hexadecimal"])
@pytest.mark.parametrize("between", ["\n", "\r\n    ", "\\n", "\\r\\n", "=\n", "\\\n"])
@pytest.mark.parametrize("width", [5, 16])
def test_a_secret_in_several_lines_is_redacted(encode: str, between: str, width: int) -> None:
    """As in mail and in PEM, and as JSON and shells write line ends."""
    repeated = ENCODINGS[encode]("Xk8/v2+mQ9-pLw3zRt7y")
    wrapped = between.join(repeated[at : at + width] for at in range(0, len(repeated), width))
    redacted = Redactor(["Xk8/v2+mQ9-pLw3zRt7y"]).redact(f"it was: {wrapped}.")
    left = redacted.removeprefix("it was: ").replace(between, "")
    assert "[secret]" in left
    assert len(left) < len("[secret]") + (12 if "Basic" in encode else 6)


@pytest.mark.parametrize("text", ["50%25 of 100%", "a\\nb", "&lt;p&gt; \\u00e9", "C:\\users\\new", "per%20cent"])
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    """Escapes are undone only where they hide a secret."""
    assert Redactor(["Xk8/v2+mQ9-pLw3zRt7y"]).redact(text) == text


@pytest.fixture
def lines() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of its own, redacted, in text."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextLines("%H:%M:%S"))
    handler.addFilter(Redactor(["hunter2secret", "abc"]))
    logger = logging.getLogger("test_logs")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger, out
    logger.removeHandler(handler)


def test_a_secret_is_blotted_out_wherever_it_comes_from(lines: tuple[logging.Logger, io.StringIO]) -> None:
    """In the message, in an argument, in a traceback."""
    logger, out = lines
    logger.warning("hunter2secret %s", {"key": "hunter2secret"})
    try:
        raise ValueError("no hunter2secret here")
    except ValueError:
        logger.exception("failed", stack_info=True)
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count("[secret]") >= 3


def test_a_bot_token_is_blotted_out_although_it_is_not_ours(lines: tuple[logging.Logger, io.StringIO]) -> None:
    """Libraries log the URLs that they call."""
    logger, out = lines
    logger.info("POST https://api.telegram.org/bot%s/sendMessage", TOKEN)
    logger.info("GET https://api.telegram.org/file/bot%s/photo", TOKEN.replace(":", "%3a"))
    assert "Fake" not in out.getvalue()
    assert "bot[secret]/sendMessage" in out.getvalue()


def test_a_secret_too_short_to_be_one_does_not_spoil_the_log(lines: tuple[logging.Logger, io.StringIO]) -> None:
    """Three letters occur everywhere."""
    logger, out = lines
    logger.info("abc")
    assert "abc" in out.getvalue()


def test_no_log_text_forges_a_line_or_repaints_the_terminal(lines: tuple[logging.Logger, io.StringIO]) -> None:
    """Control characters are written out."""
    logger, out = lines
    logger.info("from %s", "x\n12:00:00 INFO fake\r\x1b[2J\x9b\u2028")
    assert out.getvalue().splitlines() == [
        line for line in out.getvalue().split("\n") if line
    ]  # no other separator is left
    assert out.getvalue().endswith("from x\\n12:00:00 INFO fake\\r\\x1b[2J\\x9b\\u2028\n")


def test_a_wrong_log_line_does_not_stop_the_work(lines: tuple[logging.Logger, io.StringIO]) -> None:
    """Its parts are shown as they are, secrets blotted out."""
    logger, out = lines
    logger.info("%d people", "hunter2secret")
    assert "%d people ('[secret]',)" in out.getvalue()


def test_refusals_are_logged_once_a_minute() -> None:
    """A stranger who is refused a thousand times fills no log; the next line says how many there were."""
    once = OncePerMinute()

    def passed(template: str, moment: float) -> str | None:
        record = logging.makeLogRecord({"msg": template, "args": (moment,), "created": moment})
        return record.getMessage() if once.filter(record) else None

    assert passed("refused %s", 1000.0) == "refused 1000.0"
    assert [passed("refused %s", 1000.0 + second) for second in range(1, 60)] == [None] * 59
    assert passed("another %s", 1030.0) == "another 1030.0"
    assert passed("refused %s", 1060.0) == "refused 1060.0 (59 more were not logged)"
    assert passed("refused %s", 1120.0) == "refused 1120.0"


def test_each_line_has_the_id_of_the_request_in_both_formats() -> None:
    """Only while there is one."""
    record = logging.makeLogRecord({"msg": "sent", "levelno": logging.INFO, "levelname": "INFO"})
    assert "request_id" not in json.loads(JsonLines().format(record))
    token = REQUEST_ID.set("sms-12")
    try:
        assert json.loads(JsonLines().format(record))["request_id"] == "sms-12"
        assert TextLines("%H").format(record).endswith(": [sms-12] sent")
    finally:
        REQUEST_ID.reset(token)
    assert TextLines("%H").format(record).endswith(": sent")


def test_json_lines_are_one_object_each_with_the_time_in_utc() -> None:
    """Machines read them; text in any script stays readable."""
    record = logging.makeLogRecord(
        {"name": "relay", "levelname": "INFO", "msg": "schön\n%s", "args": ("👋",), "created": 0.0, "msecs": 7}
    )
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.007Z",
        "level": "info",
        "logger": "relay",
        "message": "schön\n👋",
    }
    assert "schön" in line


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A real process: the root logger belongs to it alone."""
    code = (
        "import logging; from relay.config.logs import setup_logging\n"
        "from relay.config.loading import load_settings\n"
        "from relay.config.settings import Settings\n"
        "setup_logging(load_settings(Settings), 'sms_server'); logging.getLogger('relay').info('hello')\n"
        "logging.getLogger('httpx').info('noise')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_logs_to_stderr_and_to_its_file(tmp_path: Path) -> None:
    """The file has the date; libraries that talk too much are silenced."""
    done = run(tmp_path, LOG_DIR="logs/deep")
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    relay: hello\n", done.stderr)
    written = (tmp_path / "logs" / "deep" / "sms_server.log").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    relay: hello\n", written)


def test_a_program_logs_json_when_asked_to(tmp_path: Path) -> None:
    """log_format says so."""
    assert json.loads(run(tmp_path, LOG_FORMAT="json").stderr)["message"] == "hello"


def test_the_level_is_that_of_our_own_loggers(tmp_path: Path) -> None:
    """Libraries stay at warnings, or what is asked for would drown; above that the level counts for them too."""
    assert "hello" in run(tmp_path, LOG_LEVEL="debug").stderr
    assert "noise" not in run(tmp_path, LOG_LEVEL="debug").stderr
    assert run(tmp_path, LOG_LEVEL="warning").stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_reported_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, whatever is logged meanwhile; other errors in a log call are shown as before."""
    file = LogFile("/dev/full", encoding="utf-8")
    for seconds in (0, 1, 59, 61, 62):
        record = logging.makeLogRecord({"msg": "hello", "created": 1000.0 + seconds})
        file.handle(record)
    assert capsys.readouterr().err == "/dev/full cannot be written: No space left on device\n" * 2
    file.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(OSError, match="No space left"):
        file.close()


def test_a_log_folder_that_cannot_be_made_ends_the_program_with_a_sentence(tmp_path: Path) -> None:
    """Status 2, like a bad setting: starting again would change nothing."""
    (tmp_path / "logs").write_text("")
    done = run(tmp_path, LOG_DIR="logs/deep")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("log_dir: ")
