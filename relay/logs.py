"""Logging of every server: text or JSON lines on stderr, a file when `log_dir` is set, and never a secret."""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
import time
from pathlib import Path

from relay.settings import Settings

# A bot token is part of every Bot API URL, so a library that logs URLs would print it even when it is not ours.
_BOT_TOKEN = re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{30,}")
_BLOT = "[secret]"
_NOISY = ("httpx", "httpcore", "aiohttp", "telegram", "twilio", "alembic", "asyncio", "uvicorn.access")


class Redactor(logging.Filter):
    """Blots every secret value out of the finished line, whatever put it there, tracebacks included."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _BLOT)
        return _BOT_TOKEN.sub(_BLOT, text)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self.clean(record.getMessage())
        record.args = ()
        if record.exc_info:
            record.exc_text = self.clean(logging.Formatter().formatException(record.exc_info))
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, and the traceback when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:
            line["traceback"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Time, level, logger and message; line breaks within a message stay visible: nobody can forge a line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def setup_logging(settings: Settings, server: str) -> None:
    """Point the root logger at stderr and, with `log_dir`, at `log_dir/server.log` (10 MB each, five kept)."""
    formatter: logging.Formatter = JsonLines() if settings.log_format == "json" else TextLines()
    redactor = Redactor(settings.secrets())
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_dir:
        folder = Path(settings.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(
            logging.handlers.RotatingFileHandler(
                folder / f"{server}.log", maxBytes=10_000_000, backupCount=5, encoding="utf-8", delay=True
            )
        )
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(settings.log_level.upper())
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(redactor)
        root.addHandler(handler)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
