"""Terminal output of the launcher: the lines of all servers with a coloured prefix, and the table of addresses.

A thread with a bounded queue writes: a paused terminal (Ctrl-S) must not block the servers. Lines that do not fit are
dropped and counted.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from relay.channels.registry import CHANNELS

COLOURS: dict[str, str] = {
    "llm": "cyan",
    "simulator": "magenta",
    **{channel.platform: channel.colour for channel in CHANNELS},
    "admin": "yellow",
    "tunnel": "bright_blue",
    "launcher": "bold",
}
_WIDTH = max(map(len, COLOURS))
# Server output may contain messages of users, whose control characters could repaint or retitle the terminal.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}

Row = tuple[str, str]


class Screen:
    """Writes lines in the order of the calls. `line`, `note`, `alarm` and `table` never block."""

    def __init__(self, console: Console, capacity: int = 10_000) -> None:
        self._console = console
        self._waiting: queue.Queue[Text | None] = queue.Queue(capacity)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="screen", daemon=True)
        self._thread.start()

    def line(self, name: str, text: str) -> None:
        """Show a line of a server's output."""
        self._put(_prefixed(name, Text(text.translate(_VISIBLE))))

    def note(self, name: str, text: str) -> None:
        """Show a message of the launcher about a server."""
        self._put(_prefixed(name, Text(text, style="bold")))

    def alarm(self, name: str, text: str) -> None:
        """Show a message of the launcher about a problem."""
        self._put(_prefixed(name, Text(f"!! {text}", style="bold red")))

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """Show a table of labels and values without interruption."""
        width = max((len(label) for label, _ in rows), default=0)
        lines = [Text.assemble((f"  {label:<{width}}  ", "bold"), value) for label, value in rows]
        self._put(Text("\n").join([Text(), Text(title, style="bold green"), *lines, Text()]))

    def close(self, seconds: float = 2) -> None:
        """Write the queued lines and end the thread; returns after `seconds` at the latest."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
            self._thread.join(seconds)

    def _put(self, text: Text) -> None:
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def _write_all(self) -> None:
        for text in iter(self._waiting.get, None):
            self._write(text)
            if self._dropped and self._waiting.empty():
                dropped, self._dropped = self._dropped, 0
                self._write(_prefixed("launcher", Text(f"{dropped} lines were dropped: the terminal was too slow")))

    def _write(self, text: Text) -> None:
        # When the reader is gone (`| head`, a closed terminal), rich would end the program, but the servers run on.
        with contextlib.suppress(OSError, ValueError, SystemExit):
            self._console.print(text, soft_wrap=True)


def _prefixed(name: str, text: Text) -> Text:
    return Text.assemble((f"{name:<{_WIDTH}} | ", COLOURS.get(name, "")), text)
