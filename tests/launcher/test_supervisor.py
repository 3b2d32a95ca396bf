"""Every order of starts, crashes and stops, as events of a supervisor without processes."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field, replace

import pytest

from relay.launcher.events import Event, Exited, Health, Outage, PlanChanged, Ready, StopRequested
from relay.launcher.plan import Program
from relay.launcher.processes import ServerProcess
from relay.launcher.supervisor import BAD_SETTINGS, Supervisor, Timeouts, in_words, stop_waves

ALL = (
    Program("llm", "llm_server", 1, "llm_server_port"),
    Program("simulator", "simulator", 2, "simulator_port"),
    Program("sms", "sms_server", 3, "sms_server_port", waits_for=("llm", "simulator")),
    Program("telegram", "telegram_server", 4, "telegram_server_port", waits_for=("llm", "simulator")),
    Program("admin", "admin_server", 5, "admin_server_port"),
)
LLM_ALONE = ALL[:1]


class FakeProcess(ServerProcess):
    """Records what the supervisor does with it."""

    def __init__(self, name: str, done: list[str]) -> None:
        self.pid = 4711
        self._name = name
        self._done = done

    def request_stop(self) -> None:
        self._done.append(f"ask {self._name}")

    def kill(self) -> None:
        self._done.append(f"kill {self._name}")


@dataclass
class SupervisorHarness:
    """The supervisor with a clock that the test turns, and a record of its actions and messages."""

    programs: tuple[Program, ...] = ALL
    timeouts: Timeouts = field(default_factory=Timeouts)
    refuses: bool = False

    def __post_init__(self) -> None:
        self.now = 0.0
        self.done: list[str] = []
        self.lines: list[str] = []
        self.announced: list[frozenset[str]] = []
        self.unready: list[frozenset[str]] = []
        self.outages: list[tuple[str, Outage | None]] = []
        self.runs = dict.fromkeys((program.name for program in self.programs), 0)
        self.supervisor = Supervisor(
            self.programs,
            self.start,
            self.note,
            self.note,
            self.announce,
            self.on_outage,
            lambda: self.now,
            self.timeouts,
        )
        self.supervisor.advance()

    def start(self, program: Program, run: int) -> FakeProcess:
        if self.refuses:
            raise OSError(11, "no more processes")
        self.runs[program.name] = run
        self.done.append(f"start {program.name}")
        return FakeProcess(program.name, self.done)

    def announce(self, up: frozenset[str], unready: frozenset[str]) -> None:
        self.announced.append(up)
        self.unready.append(unready)

    def on_outage(self, name: str, outage: Outage | None) -> None:
        self.outages.append((name, outage))

    def note(self, name: str, text: str) -> None:
        self.lines.append(f"{name}: {text}")

    def send(self, *events: Event, at: float | None = None) -> None:
        self.now = self.now if at is None else at
        for event in events:
            self.supervisor.handle(event)
        self.supervisor.advance()

    def healthy(self, *names: str, at: float | None = None) -> None:
        """Healthy, and ready at once, as nearly always."""
        for name in names:
            self.send(Health(name, self.runs[name], ok=True), Ready(name, self.runs[name]), at=at)

    def exit(self, name: str, status: int = 1, at: float | None = None) -> None:
        self.send(Exited(name, self.runs[name], status), at=at)

    def all_up(self) -> None:
        self.healthy("llm", "simulator")
        self.healthy("sms", "telegram", "admin")
        self.done.clear()
        self.lines.clear()

    def take(self) -> list[str]:
        taken, self.done[:] = self.done[:], []
        return taken


def test_channels_start_when_the_llm_server_and_the_simulator_are_healthy() -> None:
    """Nothing of a channel before both are healthy; the rest starts at once."""
    harness = SupervisorHarness()
    assert harness.take() == ["start llm", "start simulator", "start admin"]
    harness.healthy("llm", at=1)
    assert harness.take() == []
    harness.healthy("simulator", at=2)
    assert harness.take() == ["start sms", "start telegram"]


def test_the_addresses_are_announced_once_when_everything_is_healthy() -> None:
    """A later restart does not print the table again."""
    harness = SupervisorHarness()
    harness.healthy("llm", "simulator")
    harness.healthy("sms", "admin")
    assert harness.announced == []
    harness.healthy("telegram")
    assert harness.announced == [frozenset(harness.runs)]
    harness.exit("sms", at=100)
    harness.send(at=101)
    harness.healthy("sms", at=102)
    assert len(harness.announced) == 1
    assert harness.lines[-1] == "sms: is healthy again"


def test_what_is_up_is_announced_although_one_server_never_becomes_healthy() -> None:
    """After a while the table says what is there, and what is not."""
    harness = SupervisorHarness()
    harness.healthy("llm", "simulator", at=1)
    harness.healthy("admin", "sms", at=2)
    harness.send(at=21)
    assert harness.announced == [frozenset({"llm", "simulator", "admin", "sms"})]


def test_a_server_that_is_not_ready_is_named_and_reported_when_it_is() -> None:
    """A locked database or a missing model leaves the process healthy; "Everything is up" would be a lie."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.send(Health("llm", 1, ok=True), at=1)
    harness.send(at=5)
    assert harness.announced == []
    harness.send(at=6)
    assert (harness.announced, harness.unready) == ([frozenset({"llm"})], [frozenset({"llm"})])
    harness.send(Ready("llm", 1), at=60)
    harness.send(Ready("llm", 1), at=61)
    assert harness.lines == ["llm: can do its work now"]


def test_readiness_is_probed_again_in_each_run() -> None:
    """A server that died before the announcement has to become ready once more."""
    harness = SupervisorHarness()
    harness.healthy("llm", "simulator", "admin", at=1)
    harness.healthy("sms", at=2)
    harness.exit("sms", at=2.5)
    harness.healthy("telegram", at=3)
    harness.send(at=3.5)
    harness.send(Health("sms", 2, ok=True), at=4)
    assert harness.announced == []
    harness.send(Ready("sms", 2), at=4.5)
    assert harness.unready == [frozenset()]


def test_channels_start_in_the_end_although_the_llm_server_never_becomes_healthy() -> None:
    """People's messages are kept and answered later; that is better than no channel at all."""
    harness = SupervisorHarness()
    harness.healthy("simulator", at=1)
    harness.take()
    harness.send(at=30)
    assert harness.take() == []
    harness.send(at=30.1)
    assert harness.take() == ["start sms", "start telegram"]


def test_channels_start_when_the_llm_server_refuses_its_settings() -> None:
    """The rest keeps running, whatever becomes of one."""
    harness = SupervisorHarness()
    harness.healthy("simulator", at=1)
    harness.take()
    harness.exit("llm", status=2, at=1.5)
    assert harness.take() == ["start sms", "start telegram"]


def test_a_server_that_died_is_started_again_after_its_pause_and_not_before() -> None:
    """One second the first time."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.take()
    harness.exit("llm", status=-9, at=70)
    assert harness.lines[-1] == "llm: was ended by SIGKILL; starting it again in 1 s"
    harness.send(at=70.9)
    assert harness.take() == []
    harness.send(at=71)
    assert harness.take() == ["start llm"]


RUNS: list[tuple[str, list[float], list[float]]] = [
    ("crashes in a row are tried every five minutes for ever", [1] * 8, [1, 2, 4, 8, 300, 300, 300, 300]),
    ("a long run ends the crash loop", [1, 1, 1, 1, 1, 60, 1], [1, 2, 4, 8, 300, 1, 2]),
    ("the pauses after longer runs stop growing", [15] * 8, [1, 2, 4, 8, 16, 30, 30, 30]),
    ("a long run makes the delays short again", [15, 15, 60, 15], [1, 2, 1, 2]),
    ("a longer run between crashes restarts the count", [1, 1, 1, 1, 15, 1, 1], [1, 2, 4, 8, 16, 30, 30]),
]


@pytest.mark.parametrize(("runs", "pauses"), [row[1:] for row in RUNS], ids=[row[0] for row in RUNS])
def test_a_server_is_started_again_however_often_it_dies(runs: list[float], pauses: list[float]) -> None:
    """The lengths of its runs, and the pause that follows each."""
    harness = SupervisorHarness(LLM_ALONE)
    for lived, pause in zip(runs, pauses, strict=True):
        harness.take()
        harness.exit("llm", at=harness.now + lived)
        assert f"starting it again in {pause:g} s" in harness.lines[-1]
        harness.send(at=harness.now + pause - 0.01)
        assert harness.take() == []
        harness.send(at=harness.now + 0.01)
        assert harness.take() == ["start llm"]


def test_a_crash_loop_is_alarmed_each_time_and_the_rest_runs_on() -> None:
    """Every death is an alarm with its reason; a stop then is an ordinary one."""
    harness = SupervisorHarness()
    harness.all_up()
    for _ in range(7):
        harness.exit("sms", status=-9, at=harness.now)
        harness.send(at=harness.now + 300)
    assert sum("IT KEEPS CRASHING" in line for line in harness.lines) == 3
    assert harness.lines[-1].startswith("sms: was ended by SIGKILL, 7 times in a row right after its start; starting")
    assert harness.runs == {"llm": 1, "simulator": 1, "sms": 8, "telegram": 1, "admin": 1}
    harness.send(StopRequested("SIGTERM"))
    for name in ("sms", "telegram", "admin", "simulator", "llm"):
        harness.exit(name, status=-15)
    assert harness.supervisor.done
    assert harness.supervisor.exit_status == 0


def test_an_outage_is_reported_with_the_next_start_until_the_server_is_healthy() -> None:
    """That is what the console shows; a start alone ends no outage."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.healthy("llm", at=1)
    harness.outages.clear()
    harness.exit("llm", status=-9, at=70)
    harness.send(at=71)
    assert harness.outages == [("llm", Outage("was ended by SIGKILL", 1))]
    harness.healthy("llm", at=72)
    assert harness.outages[1:] == [("llm", None)]
    harness.exit("llm", status=2, at=73)
    assert harness.outages[2:] == [("llm", Outage("its settings were refused", 300))]


def test_refused_settings_of_all_servers_end_the_launcher() -> None:
    """Status 2 says that nothing will change by itself."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.exit("llm", status=2, at=0.3)
    assert "its settings were refused" in harness.lines[-1]
    assert harness.supervisor.done
    assert harness.supervisor.exit_status == 2


def test_refused_settings_of_one_server_are_tried_again_while_the_rest_runs() -> None:
    """They may be corrected, or a file that was away is back; until then an alarm every five minutes."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.exit("sms", status=2, at=100)
    assert harness.lines[-1].endswith("settings were refused, see its message above; starting it again in 300 s")
    harness.exit("llm", status=-9, at=150)
    harness.send(at=151)
    assert harness.take() == ["start llm"]
    harness.send(at=399.9)
    assert harness.take() == []
    harness.send(at=400)
    assert harness.take() == ["start sms"]
    harness.exit("sms", status=2, at=401)
    harness.send(at=701)
    harness.healthy("sms", at=702)
    assert harness.lines[-1] == "sms: is healthy again"
    harness.send(StopRequested("SIGTERM"))
    for name in ("sms", "telegram", "admin", "simulator", "llm"):
        harness.exit(name, status=-15)
    assert harness.supervisor.exit_status == 0


def test_refused_settings_of_one_server_leave_the_rest_running() -> None:
    """The exit status of the stop says that not all was well."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.exit("sms", status=2)
    assert not harness.supervisor.done
    harness.send(StopRequested("SIGTERM"))
    for name in ("telegram", "admin", "simulator", "llm"):
        harness.exit(name, status=-15)
    assert harness.supervisor.done
    assert harness.supervisor.exit_status == 1


def test_a_system_that_starts_no_process_counts_as_a_crash() -> None:
    """Pauses, then a start every five minutes; never a crash of the launcher."""
    harness = SupervisorHarness(LLM_ALONE, refuses=True)
    for second in range(1, 40):
        harness.send(at=second)
    assert "no more processes" in harness.lines[0]
    assert "starting it again in 300 s" in harness.lines[-1]
    harness.refuses = False
    harness.send(at=400)
    assert harness.take() == ["start llm"]


def test_stopping_runs_in_reverse_and_each_wave_waits_for_the_one_before() -> None:
    """Channels and console first, together; then the simulator; the LLM server last."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.send(StopRequested("SIGINT"), at=100)
    assert harness.take() == ["ask admin", "ask telegram", "ask sms"]
    harness.exit("sms", status=-15)
    harness.exit("admin", status=0)
    assert harness.take() == []
    harness.exit("telegram", status=-15, at=103)
    assert harness.take() == ["ask simulator"]
    harness.exit("simulator", status=-15)
    assert harness.take() == ["ask llm"]
    harness.exit("llm", status=-15)
    assert harness.supervisor.done
    assert harness.supervisor.exit_status == 0
    assert harness.lines[-1] == "llm: stopped"


def test_what_does_not_stop_is_killed_wave_by_wave_and_all_is_over_within_15_seconds() -> None:
    """Nothing stops by itself here; even a process that SIGKILL does not end holds up nothing."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.send(StopRequested("SIGTERM"), at=100)
    diary = {}
    for tenth in range(1, 150):
        harness.take()
        harness.send(at=100 + tenth / 10)
        if harness.done:
            diary[tenth / 10] = harness.take()
        if harness.supervisor.done:
            break
    assert diary == {
        9: ["kill admin", "kill telegram", "kill sms", "ask simulator"],
        11.5: ["kill simulator", "ask llm"],
        14: ["kill llm"],
    }
    assert harness.now < 115
    assert harness.supervisor.exit_status == 1


def test_asking_a_second_time_kills_what_is_left() -> None:
    """A second signal kills, but an echo of the same signal does not."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.send(StopRequested("SIGINT"), at=100)
    harness.take()
    harness.send(StopRequested("SIGINT"), at=100.2)
    assert harness.take() == []
    harness.send(StopRequested("SIGINT"), at=101.5)
    assert sorted(harness.take()) == ["kill admin", "kill llm", "kill simulator", "kill sms", "kill telegram"]


def test_stopping_during_a_pause_or_before_the_first_start_starts_nothing_more() -> None:
    """A waiting server is not started."""
    harness = SupervisorHarness()
    harness.healthy("llm", at=1)
    harness.exit("llm", at=2)
    harness.take()
    harness.send(StopRequested("SIGTERM"), at=2.5)
    assert harness.take() == ["ask admin"]
    harness.exit("admin", status=-15, at=4)
    assert harness.take() == ["ask simulator"]
    harness.exit("simulator", status=-15, at=5)
    assert harness.take() == []
    assert harness.supervisor.done


def test_events_of_an_earlier_run_are_ignored() -> None:
    """A late exit of the first run must not end the second."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.exit("llm", at=1)
    harness.send(at=2)
    harness.take()
    harness.send(Exited("llm", 1, 1), Health("llm", 1, ok=True), at=3)
    assert harness.take() == []
    assert harness.announced == []


def test_a_server_that_never_was_healthy_is_reported_once_and_has_ten_minutes() -> None:
    """A start may be slow, or may have been stopped; a migration of hours answers /health meanwhile."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.take()
    harness.send(at=19)
    assert harness.lines == []
    for second in (20, 25, 60, 61, 599.9):
        harness.send(Health("llm", 1, ok=False), at=second)
    assert len(harness.lines) == 1
    assert harness.lines[0].endswith("has not answered GET /health for 20 s; it is killed after 600 s")
    assert harness.take() == []
    harness.send(at=600)
    assert harness.take() == ["kill llm"]
    harness.exit("llm", status=-9, at=600.1)
    harness.send(at=601.1)
    assert harness.take() == ["start llm"]
    harness.healthy("llm", at=1200)
    harness.send(Health("llm", 2, ok=False), at=1300)
    harness.send(at=1360)
    assert harness.take() == ["kill llm"]


def test_a_server_that_stops_answering_is_killed_after_a_minute_and_started_again() -> None:
    """Reported after 20 s, killed once after 60 s, started after its end; then the limits count anew."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.healthy("llm", at=1)
    harness.take()
    harness.send(Health("llm", 1, ok=False), at=100)
    harness.send(at=120)
    assert harness.lines[-1].endswith("has not answered GET /health for 20 s; it is killed after 60 s")
    harness.send(at=159.9)
    assert harness.take() == []
    for second in (160, 161, 170):
        harness.send(at=second)
    assert harness.take() == ["kill llm"]
    assert harness.lines[-1].endswith("has not answered GET /health for 60 s; it is being killed and started again")
    harness.exit("llm", status=-9, at=171)
    assert harness.lines[-1] == "llm: hung and was killed; starting it again in 1 s"
    harness.send(at=172)
    assert harness.take() == ["start llm"]
    harness.send(at=300)
    assert harness.take() == []
    assert harness.supervisor.exit_status == 0


def test_a_server_that_answers_again_within_the_minute_is_not_killed() -> None:
    """The minute counts from the last change; so does the next silence."""
    harness = SupervisorHarness(LLM_ALONE)
    harness.healthy("llm", at=1)
    harness.take()
    harness.send(Health("llm", 1, ok=False), at=100)
    harness.healthy("llm", at=159)
    harness.send(Health("llm", 1, ok=False), at=200)
    harness.send(at=259)
    assert harness.take() == []
    harness.send(at=260)
    assert harness.take() == ["kill llm"]


def test_the_loop_ends_with_the_exit_status_when_the_last_server_has_ended() -> None:
    """The loop itself, with a queue that holds a whole run."""
    harness = SupervisorHarness(LLM_ALONE)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    for event in (Health("llm", 1, ok=True), StopRequested("SIGTERM"), Exited("llm", 1, 0)):
        events.put(event)
    beats: list[float] = []
    assert harness.supervisor.run(events, lambda: beats.append(harness.now)) == 0
    assert len(beats) == 4
    assert harness.take() == ["start llm", "ask llm"]


def test_the_waves_of_a_stop_are_the_start_in_reverse() -> None:
    """A dependency ends later; alone, the LLM server is the first wave."""
    assert stop_waves(ALL) == [["admin", "telegram", "sms"], ["simulator"], ["llm"]]
    assert stop_waves(LLM_ALONE) == [["llm"]]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-9, "was ended by SIGKILL"),
        (-250, "was ended by signal 250"),
    ],
)
def test_an_exit_status_is_described_in_words(status: int, expected: str) -> None:
    """Signals by their names."""
    assert in_words(status) == expected


def change(harness: SupervisorHarness, *programs: Program) -> None:
    harness.runs |= {program.name: 0 for program in programs if program.name not in harness.runs}
    harness.send(PlanChanged(programs))


def test_another_plan_restarts_what_differs_and_nothing_else() -> None:
    """One that differs is stopped and started again, a new one starts, one that is left out ends for good."""
    harness = SupervisorHarness()
    harness.all_up()
    llm, simulator, sms, telegram, admin = ALL
    moved = replace(sms, reads={"twilio_phone_number": "+12025550123"})
    assert moved != sms
    change(harness, llm, moved, telegram, admin)
    assert sorted(harness.take()) == ["ask simulator", "ask sms"]
    harness.exit("sms", 0)
    harness.exit("simulator", 0)
    assert harness.take() == ["start sms"]
    assert harness.runs["sms"] == 2
    harness.healthy("sms")
    assert harness.announced[-1] == {"llm", "sms", "telegram", "admin"}
    change(harness, llm, moved, telegram, admin)
    assert harness.take() == []
    change(harness, llm, simulator, moved, telegram, admin)
    assert harness.take() == ["start simulator"]


def test_one_that_does_not_stop_for_the_new_plan_is_killed() -> None:
    """And started again; its end is no crash."""
    harness = SupervisorHarness()
    harness.all_up()
    change(harness, *ALL[:4], replace(ALL[4], port=6))
    harness.take()
    harness.send(at=harness.now + Timeouts().stop[0] + 1)
    assert harness.take() == ["kill admin"]
    harness.exit("admin", -9)
    assert harness.take() == ["start admin"]
    assert harness.outages[-1] == ("admin", None)


def test_a_refused_server_starts_at_once_with_corrected_settings() -> None:
    """Its five minutes of waiting were for the settings that it refused."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.exit("sms", BAD_SETTINGS)
    assert harness.take() == []
    change(harness, *(replace(one, reads={"a": 1}) if one.name == "sms" else one for one in ALL))
    assert harness.take() == ["start sms"]


def test_a_plan_that_changes_back_before_the_stop_is_over() -> None:
    """The last plan counts, for those that are on their way out as well."""
    harness = SupervisorHarness()
    harness.all_up()
    change(harness, *ALL[:1], *ALL[2:])
    change(harness, *ALL)
    assert harness.take() == ["ask simulator"]
    harness.exit("simulator", 0)
    assert harness.take() == ["start simulator"]


def test_a_stop_goes_before_a_change_of_the_plan() -> None:
    """Nothing is started any more."""
    harness = SupervisorHarness()
    harness.all_up()
    harness.send(StopRequested("SIGTERM"))
    harness.take()
    change(harness, *(replace(one, reads={"a": 1}) for one in ALL))
    assert not [done for done in harness.take() if done.startswith("start")]
