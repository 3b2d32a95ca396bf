"""Two servers of each kind on one PostgreSQL, as real processes: one of them is killed, or the database goes away."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.machines.running_machines import SMS, TELEGRAM, Machines
from tests.product.running_product import Phone
from tests.product.scripted_model import ScriptedModel
from tests.running_postgresql import Postgresql, running_postgresql

pytestmark = [pytest.mark.processes, pytest.mark.campaign]

QUESTIONS = [f"question {number}" for number in range(1, 6)]
ANSWERS = [f"You said: {question}" for question in QUESTIONS]


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[Postgresql]:
    """Not the one of the other tests, because it is stopped."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    scripted = ScriptedModel()
    yield scripted
    scripted.close()


@pytest.fixture(scope="module")
def machines(
    own_postgresql: Postgresql, model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    folder: Path = tmp_path_factory.mktemp("machines")
    running = Machines(
        folder, own_postgresql.url, LLM_SOURCE="openai", OPENAI_BASE_URL=model.url, OPENAI_MODEL="scripted"
    )
    try:
        running.start()
        yield running
    finally:
        model.gate.set()
        running.close()


def _known(machines: Machines, platform: str, name: str) -> Phone:
    phone = Phone(machines, platform, name)
    phone.ask(f"name={name}" if platform == "sms" else "/start")
    return phone


def _asked(machines: Machines, model: ScriptedModel, phone: Phone, text: str) -> None:
    """Say something, and return when the model works on it and does not get further."""
    model.gate.clear()
    phone.send(text)
    machines.until(lambda: bool(model.questions(text)), "asking the model")


def test_two_machines_answer_every_user_once_and_in_order(machines: Machines) -> None:
    """Whichever server hears of a text message, be it both of them; and only one asks Telegram."""
    by_text = [_known(machines, "sms", f"Ann {number}") for number in range(4)]
    by_bot = [_known(machines, "telegram", f"Bob {number}") for number in range(4)]
    for number, question in enumerate(QUESTIONS):
        for person in by_text:
            sid = f"SM{int(person.address[1:]):022d}{number:010d}"
            assert machines.post(SMS[number % 2], person, question, sid) == 200
            assert machines.post(SMS[(number + 1) % 2], person, question, sid) == 200
        for person in by_bot:
            person.send(question)
    for person in [*by_text, *by_bot]:
        assert [person.next_reply() for _ in ANSWERS] == ANSWERS
    for person in [*by_text, *by_bot]:
        assert person.received()[1:] == ANSWERS
    assert len(machines.owners("sms")) == 2
    assert "telegram.getUpdates 409" not in machines.sim("GET", "stats")["answers"]


def test_one_telegram_server_polls_and_the_other_says_who(machines: Machines) -> None:
    """The idle one is ready, and shows the name under which the other holds the lease; a stop changes the turns."""
    machines.until(lambda: machines.poller() is not None, "polling")
    first = machines.poller() or ""
    [second] = set(TELEGRAM) - {first}
    server, machine = first.split()
    idle = machines.polling(second)
    assert (idle["state"], idle["running"]) == ("standby", True)
    assert idle["polled_by"] == f"{server}@{machine}:{machines.ports[first]}"
    ready = machines.http.get(machines.url(second) + "/ready")
    assert (ready.status_code, ready.json()["updates"]) == (200, "standby")
    stopped = machines.call("POST", f"{machines.url(first)}/telegram/polling/stop")
    assert (stopped["state"], stopped["running"]) == ("stopped", False)
    machines.until(lambda: machines.poller() == second, "the other server's turn")
    started = machines.call("POST", f"{machines.url(first)}/telegram/polling/start")
    assert started["running"] is True
    machines.until(lambda: machines.polling(first)["state"] == "standby", "standing by")


def test_the_work_of_a_killed_sms_server_is_taken_over_within_its_lease(
    machines: Machines, model: ScriptedModel
) -> None:
    """It dies while the model works; the other answers that, and then what came behind it, each once."""
    erin = _known(machines, "sms", "Erin")
    machines.texts_go_to(SMS[0])
    _asked(machines, model, erin, "text before the crash")
    machines.kill(SMS[0])
    model.gate.set()
    assert machines.post(SMS[1], erin, "right behind it") == 200
    assert [erin.next_reply(), erin.next_reply()] == ["You said: text before the crash", "You said: right behind it"]
    machines.start_one(SMS[0])
    machines.await_ready(SMS[0])
    assert machines.post(SMS[0], erin, "And now?") == 200
    assert erin.next_reply() == "You said: And now?"
    assert len(erin.received()) == 4


def test_a_killed_poller_is_replaced_by_the_other(machines: Machines, model: ScriptedModel) -> None:
    """With what it was working on, from its offset on; back again, it stands by."""
    frank = _known(machines, "telegram", "Frank")
    machines.until(lambda: machines.poller() is not None, "polling")
    first = machines.poller() or ""
    [second] = set(TELEGRAM) - {first}
    _asked(machines, model, frank, "message before the crash")
    machines.kill(first)
    model.gate.set()
    frank.send("right behind it")
    assert [frank.next_reply(), frank.next_reply()] == [
        "You said: message before the crash",
        "You said: right behind it",
    ]
    assert machines.poller() == second
    machines.start_one(first)
    machines.await_ready(first)
    machines.until(lambda: machines.polling(first)["state"] == "standby", "standing by")
    assert frank.ask("And now?") == "You said: And now?"
    assert len(frank.received()) == 4


@pytest.mark.parametrize(("go", "come", "names"), [("stop", "start", "Gina Hugo"), ("freeze", "thaw", "Iris Jack")])
def test_while_postgresql_is_away_nothing_is_lost_and_then_everything_goes_on(
    machines: Machines, own_postgresql: Postgresql, go: str, come: str, names: str
) -> None:
    """Webhooks are refused with 503, polling holds its offset, health reports it; no operator is needed."""
    by_sms, by_telegram = names.split()
    gina, hugo = _known(machines, "sms", by_sms), _known(machines, "telegram", by_telegram)
    machines.until(lambda: machines.poller() is not None, "polling")
    getattr(own_postgresql, go)()
    try:
        assert machines.post(SMS[0], gina, "too early") == 503
        hugo.send("in the dark")
        for server in [*SMS, *TELEGRAM]:
            machines.until(partial(_reports_model_away, machines, server), "telling it")
            assert machines.http.get(machines.url(server) + "/health").status_code == 200
        machines.until(lambda: _updates(machines) == ["database", "database"], "holding the offset")
        assert machines.sim("GET", "stats")["waiting_updates"] == 1
    finally:
        getattr(own_postgresql, come)()
    assert hugo.next_reply(60) == "You said: in the dark"
    for server in [*SMS, *TELEGRAM]:
        machines.await_ready(server)
    assert machines.post(SMS[0], gina, "good morning") == 200
    assert gina.next_reply() == "You said: good morning"
    assert (len(gina.received()), len(hugo.received())) == (2, 2)


def _reports_model_away(machines: Machines, server: str) -> bool:
    ready = machines.http.get(machines.url(server) + "/ready")
    return (ready.status_code, ready.json()["database"]) == (503, "cannot be written now")


def _updates(machines: Machines) -> list[str]:
    """What both Telegram servers say about their updates."""
    return [machines.http.get(machines.url(name) + "/ready").json()["updates"] for name in TELEGRAM]
