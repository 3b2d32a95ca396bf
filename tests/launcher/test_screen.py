"""The one stream of output: prefixes, harmless text, and a reader that goes away."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from relay.launcher.screen import Screen


def shown(*lines: tuple[str, str], colour: bool = False) -> str:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=colour, color_system="standard" if colour else None, width=40))
    for name, text in lines:
        screen.line(name, text)
    screen.close()
    return out.getvalue()


def test_every_line_carries_the_name_of_its_server_aligned() -> None:
    """The names line up, whatever their length."""
    assert shown(("llm", "ready"), ("simulator", "ready")) == "llm       | ready\nsimulator | ready\n"


def test_a_long_line_is_neither_cut_nor_broken() -> None:
    """A URL stays one word that can be clicked or copied."""
    url = "http://127.0.0.1:8040/" + "a" * 300
    assert shown(("sms", url)) == f"sms       | {url}\n"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("[bold]markup[/bold] :smile: %s {x}", "[bold]markup[/bold] :smile: %s {x}"),
        ("\x9b31m", "\\x9b31m"),
        ("Привет 👋 שלום", "Привет 👋 שלום"),
    ],
)
def test_what_servers_print_can_neither_repaint_the_terminal_nor_become_markup(text: str, harmless: str) -> None:
    """Lines may hold what people wrote."""
    assert shown(("sms", text)) == f"sms       | {harmless}\n"


def test_on_a_terminal_the_prefix_is_coloured_and_the_line_is_not() -> None:
    """Colour helps to tell the servers apart."""
    assert shown(("sms", "plain"), colour=True) == "\x1b[32msms       | \x1b[0mplain\n"


def test_the_table_aligns_its_labels() -> None:
    """Labels left, values in one column."""
    out = io.StringIO()
    screen = Screen(Console(file=out, color_system=None, width=200))
    screen.table("Everything is up.", [("console", "http://a"), ("SMS status", "http://b")])
    screen.close()
    assert out.getvalue() == "\nEverything is up.\n  console     http://a\n  SMS status  http://b\n\n"


class Stalled(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = threading.Event()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.stuck.set()
        self.go_on.wait(10)
        return super().write(text)


def test_a_stalled_terminal_stops_no_server_and_the_loss_is_reported() -> None:
    """Lines beyond the capacity are dropped and counted, the callers never wait."""
    out = Stalled()
    screen = Screen(Console(file=out, color_system=None, width=200), capacity=2)
    screen.line("sms", "first")
    assert out.stuck.wait(10)
    for number in range(5):
        screen.line("sms", f"later {number}")
    out.go_on.set()
    screen.close(10)
    assert out.getvalue().splitlines() == [
        "sms       | first",
        "sms       | later 0",
        "sms       | later 1",
        "launcher  | 3 lines were dropped: the terminal was too slow",
    ]
