"""Logging of every server: text or JSON lines on stderr and, with `log_dir`, in a file; secrets are redacted."""

from __future__ import annotations

import html
import json
import logging
import logging.handlers
import re
import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import quote, unquote

from relay.config.settings import Settings

# A bot token is part of every Bot API URL, so a library that logs URLs would print it even when it is not ours.
_BOT_TOKEN = re.compile(r"(?<!\d)\d{6,12}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE)
_REDACTED = "[secret]"
_MIN_SECRET_LENGTH = 4
_MIN_WRAPPED_LENGTH = 12  # shorter ones could be found across ordinary words
_BREAK = r"[=\\]?(?:\s|\\[rn])+"
"""What may stand inside an encoded secret: a line break, also escaped or of quoted-printable."""
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\(.)", re.DOTALL)
_URL_SAFE = str.maketrans("+/", "-_")
_VISIBLE = {code: repr(chr(code))[1:-1] for code in (*range(9), *range(10, 32), *range(127, 160), 0x2028, 0x2029)}
_OURS = ("relay", "simulator", "uvicorn")
"""Loggers that follow log_level; those of libraries show warnings and errors only."""
_WARN_OF_STRANGERS = ("python_multipart", "relay.web.protocol")
"""Loggers that warn of every malformed request: a stranger could fill the log."""
REFUSALS = "relay.web.refused"
"""The logger for requests that are refused although they are well formed: one line of a kind a minute."""
_REFUSAL_SECONDS = _COMPLAINT_SECONDS = 60.0

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the message or request that the current task works on; "" for none. It is in each line that the task logs."""


class Redactor(logging.Filter):
    """Replaces secrets, plain or encoded, with a placeholder; as a filter, in messages and tracebacks of the log.

    What providers write goes through it before it is stored or shown: they may repeat what they were sent.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        forms = {form for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def redact(self, text: str) -> str:
        text = decoded = self._without_forms(text)
        for decode in (unquote, unquote, html.unescape, _unescaped):
            before, decoded = decoded, decode(decoded)
            if decoded != before and (redacted := self._without_forms(decoded)) != decoded:
                text = decoded = redacted
        joined = re.sub(_BREAK, "", text)
        for form in self._forms:
            if len(form) >= _MIN_WRAPPED_LENGTH and form in joined:
                text = re.sub(f"(?:{_BREAK})?".join(map(re.escape, form)), _REDACTED, text)
        return _BOT_TOKEN.sub(_REDACTED, text)

    def _without_forms(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, _REDACTED)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # A filter that raises would pass the error of a wrong log call on to the caller.
            message = f"{record.msg} {record.args}"
        record.msg = self.redact(message)
        record.args = ()
        if record.exc_info:
            record.exc_text = self.redact(logging.Formatter().formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = self.redact(record.stack_info)
        return True


def _unescaped(text: str) -> str:
    """Text with the escapes of JSON strings undone, and those of bytes as programs print them."""

    def character(escape: re.Match[str]) -> str:
        return chr(int(escape[1] or escape[2], 16)) if escape[1] or escape[2] else escape[3]

    return _ESCAPE.sub(character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, in URLs, in JSON, in HTML, in hexadecimal, and inside longer text in base64.

    Other spellings of URLs, HTML and JSON are found by decoding; these are found whatever surrounds them.
    """
    yield secret
    for safe in ("", "/", "-_.!~*'()"):  # of quote(), of its default, of JavaScript's encodeURIComponent
        quoted = quote(secret, safe)
        yield from (quoted, quoted.replace("%20", "+"), re.sub("%..", lambda escape: escape[0].lower(), quoted))
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield from (escaped, escaped.replace("/", "\\/"))
    yield html.escape(secret)
    raw = secret.encode("utf-8", "surrogateescape")
    yield from (raw.hex(), raw.hex().upper())
    for before in range(3):  # a Basic header encodes "user:password", so the secret may begin at any of three places
        # The first and last characters depend on the neighbours too.
        encoded = b64encode(bytes(before) + raw + bytes(-(before + len(raw)) % 3)).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(whole) >= _MIN_SECRET_LENGTH:
            yield from (whole, whole.translate(_URL_SAFE))


class OncePerMinute(logging.Filter):
    """Passes one record of each format string a minute; the next one says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        last, left_out = self._passed.get(record.msg, (0.0, 0))
        if record.created < last + _REFUSAL_SECONDS:
            self._passed[record.msg] = (last, left_out + 1)
            return False
        self._passed[record.msg] = (record.created, 0)
        if left_out:
            record.msg = f"{record.msg} ({left_out} more were not logged)"
        return True


class JsonLines(logging.Formatter):
    """One JSON object per line: time (RFC 3339, UTC), level, logger, message and, if any, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **({"request_id": request} if (request := REQUEST_ID.get()) else {}),
            "message": record.getMessage(),
        }
        if record.exc_text:
            line["traceback"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Time, level, logger, the id of the request in brackets, and message.

    Control characters in a message are escaped, so that it can neither forge a line nor repaint a terminal.
    """

    def __init__(self, time_format: str) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", time_format)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        record.message = record.message.translate(_VISIBLE)
        if request := REQUEST_ID.get():
            record.message = f"[{request}] {record.message}"
        return super().formatMessage(record)


def setup_logging(settings: Settings, server: str) -> None:
    """Log to stderr and, with `log_dir`, to `log_dir/<server>.log` (rotated at 10 MB, five kept).

    Exits with status 2 and a sentence on stderr when the log file cannot be opened.
    """
    handlers = [_with_formatter(logging.StreamHandler(sys.stderr), settings, "%H:%M:%S")]
    if settings.log_dir:
        handlers.append(_with_formatter(_open_file(Path(settings.log_dir), server), settings, "%Y-%m-%d %H:%M:%S"))
    redactor = Redactor(settings.secrets())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    for handler in handlers:
        handler.addFilter(redactor)
    logging.basicConfig(handlers=handlers, level=max(level, logging.WARNING), force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _WARN_OF_STRANGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    refusals = logging.getLogger(REFUSALS)
    refusals.filters = [OncePerMinute()]  # not a second one when settings are loaded again


def _with_formatter(handler: logging.Handler, settings: Settings, time_format: str) -> logging.Handler:
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines(time_format))
    return handler


class LogFile(logging.handlers.RotatingFileHandler):
    """A log file. While it cannot be written (a full disk), a line a minute on stderr says so.

    The base class would print a stack of calls for each line that is lost.
    """

    _next_complaint = 0.0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif record.created >= self._next_complaint:
            self._next_complaint = record.created + _COMPLAINT_SECONDS
            print(f"{self.baseFilename} cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201 (the log fails)


def _open_file(folder: Path, server: str) -> logging.Handler:
    path = folder / f"{server}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return LogFile(path, maxBytes=10_000_000, backupCount=5, encoding="utf-8")
    except OSError as error:
        print(f"log_dir: {path} cannot be written: {error.strerror}. Name another folder.", file=sys.stderr)  # noqa: T201 (there is no log yet)
        raise SystemExit(2) from None
