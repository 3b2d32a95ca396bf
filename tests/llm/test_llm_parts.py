"""The gateway's parts by themselves: queue, circuit, quota, context, money, thoughts, the words of failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.circuit import CircuitState
from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatMessage, ChatRequest, ProviderStatus, RequestTiming
from relay.llm.gateway.breaker import Breaker
from relay.llm.gateway.context import fitted, halved, tokens_of
from relay.llm.gateway.fair_queue import FairQueue
from relay.llm.gateway.quota import FreeQuota
from relay.llm.gateway.spend import SpendTracker
from relay.llm.providers.error_mapping import failure_of
from relay.llm.providers.faq import Faq
from relay.llm.providers.markup import AnswerFilter, cleaned
from tests.llm.running_llm_server import Clock

# -- the queue ---------------------------------------------------------------------------------------------------------


async def served(queue: FairQueue, people: list[str]) -> list[str]:
    """The order in which concurrent requests get a slot."""
    order: list[str] = []

    async def one(person: str) -> None:
        async with queue.slot(person, RequestTiming(0.0)):
            order.append(person)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(person) for person in people))
    return order


async def test_turns_are_dealt_out_between_persons() -> None:
    """Ten questions of one person do not delay the first one of another."""
    order = await served(FairQueue("x", 1, 100), ["a", "a", "a", "a", "b", "c", "b"])
    assert order == ["a", "a", "b", "c", "a", "b", "a"]


@given(people=st.lists(st.sampled_from("abcd"), max_size=30), at_once=st.integers(1, 4))
async def test_everybody_is_served_once_and_never_too_many_at_once(people: list[str], at_once: int) -> None:
    """In any order of requests all are served, at most `at_once` at the same time."""
    queue = FairQueue("x", at_once, 100)
    most = 0

    async def one(person: str) -> None:
        nonlocal most
        async with queue.slot(person, RequestTiming(0.0)):
            most = max(most, queue.active)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(person) for person in people))
    assert most <= at_once
    assert (queue.active, queue.waiting) == (0, 0)


@given(leavers=st.lists(st.booleans(), min_size=1, max_size=20))
async def test_a_cancelled_waiter_holds_no_slot(leavers: list[bool]) -> None:
    """Waiters may be cancelled, also while their slot is being granted."""
    queue = FairQueue("x", 1, 100)
    first = asyncio.Event()

    async def one(wait: asyncio.Event | None) -> None:
        async with queue.slot("p", RequestTiming(0.0)):
            if wait is not None:
                await wait.wait()

    holder = asyncio.ensure_future(one(first))
    await asyncio.sleep(0)
    tasks = [asyncio.ensure_future(one(None)) for _ in leavers]
    await asyncio.sleep(0)
    first.set()
    await holder
    for task, leaves in zip(tasks, leavers, strict=True):
        if leaves:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (queue.active, queue.waiting) == (0, 0)


async def test_the_place_in_the_queue_counts_who_comes_before() -> None:
    """Rounds of others count as often as they come before one's own."""
    queue = FairQueue("x", 1, 100)
    release = asyncio.Event()
    timings = [RequestTiming(0.0) for _ in range(5)]

    async def one(person: str, timing: RequestTiming) -> None:
        async with queue.slot(person, timing):
            await release.wait()

    tasks = [asyncio.ensure_future(one(person, timing)) for person, timing in zip("aaabb", timings, strict=True)]
    await asyncio.sleep(0)
    assert timings[0].place is None
    assert [timing.place() for timing in timings[1:] if timing.place] == [1, 3, 2, 4]
    release.set()
    await asyncio.gather(*tasks)


# -- the circuit -------------------------------------------------------------------------------------------------------


def model_error(kind: ModelFailure, retry_after: float | None = None) -> ModelError:
    return ModelError(kind, "why", retry_after=retry_after)


def test_a_circuit_opens_rests_longer_each_time_and_closes() -> None:
    """Four failures open it; a failed trial doubles the rest; a success closes it for good."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        assert breaker.state is CircuitState.CLOSED
        breaker.record_failure(model_error(ModelFailure.UNAVAILABLE))
    assert (breaker.state, breaker.open_seconds) == (CircuitState.OPEN, 5)
    with pytest.raises(ModelError, match="left alone") as refused:
        breaker.admit("x")
    assert (refused.value.kind, refused.value.retry_after) == (ModelFailure.UNAVAILABLE, 5)
    clock.now += 5
    assert breaker.admit("x") is True
    with pytest.raises(ModelError):
        breaker.admit("x")  # one question finds out, not all of them
    breaker.record_failure(model_error(ModelFailure.TIMEOUT))
    assert breaker.open_seconds == 10
    clock.now += 10
    breaker.admit("x")
    breaker.record_success()
    assert (breaker.state, breaker.admit("x")) == (CircuitState.CLOSED, False)
    for _ in range(3):
        breaker.record_failure(model_error(ModelFailure.UNAVAILABLE))
    assert breaker.state is CircuitState.CLOSED  # the count of failures starts again
    breaker.record_failure(model_error(ModelFailure.UNAVAILABLE))
    assert breaker.open_seconds == 5


@pytest.mark.parametrize(
    ("kind", "cooldowns"),
    [
        (ModelFailure.TIMEOUT, (5, 10, 20, 40, 80, 160, 300, 300)),
        (ModelFailure.UNAVAILABLE, (5, 10, 10, 10)),
    ],
)
def test_each_failed_trial_doubles_the_cooldown(kind: ModelFailure, cooldowns: tuple[int, ...]) -> None:
    """Up to the last moment of a cooldown no request passes; trials that fail quickly are made every ten seconds."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.record_failure(model_error(kind))
    for cooldown in cooldowns:
        assert breaker.open_seconds == cooldown
        clock.now += cooldown - 0.5
        with pytest.raises(ModelError):
            breaker.admit("x")
        clock.now += 0.5
        assert breaker.admit("x") is True
        breaker.record_failure(model_error(kind))


def test_failures_of_one_asker_hold_off_this_asker_alone() -> None:
    """Until a second one met a failure too: then the fault is the provider's."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.record_failure(model_error(ModelFailure.TIMEOUT), "a")
    clock.now += 4.5
    with pytest.raises(ModelError) as refused:
        breaker.check("x", "a")
    assert refused.value.retry_after == 1.0
    breaker.check("x", "b")
    assert (breaker.admit("x", "b"), breaker.concerns_all) == (False, False)
    breaker.record_failure(model_error(ModelFailure.TIMEOUT), "b")
    assert breaker.concerns_all
    with pytest.raises(ModelError):
        breaker.check("x", "c")


def test_a_refusal_counts_as_an_outage_when_it_met_two_askers() -> None:
    """A 403 for one question may be the filter of what it says."""
    breaker = Breaker(Clock())
    for _ in range(5):
        breaker.record_failure(model_error(ModelFailure.FORBIDDEN), "a")
    assert breaker.state is CircuitState.CLOSED
    breaker.record_failure(model_error(ModelFailure.FORBIDDEN), "b")
    assert (breaker.state, breaker.open_seconds) == (CircuitState.OPEN, 5)
    assert breaker.cause is not None
    assert (breaker.cause.kind, breaker.cause.message) == (ModelFailure.UNAVAILABLE, "why")


def test_a_cancelled_trial_leaves_room_for_the_next_one() -> None:
    """A client that disconnects during the trial does not keep the circuit open."""
    clock = Clock()
    breaker = Breaker(clock)
    breaker.record_failure(model_error(ModelFailure.AUTH))
    with pytest.raises(ModelError, match="target-x"):
        breaker.check("target-x")
    clock.now += 60
    breaker.check("x")  # starts no trial
    assert breaker.admit("x") is True
    breaker.cancel_trial()
    assert breaker.admit("x") is True


def test_a_requested_delay_is_kept_to_the_half_second() -> None:
    """Only delays below one second are rounded up."""
    for asked, kept in ((1.5, 1.5), (0.2, 1.0)):
        breaker = Breaker(Clock())
        breaker.record_failure(model_error(ModelFailure.RATE_LIMIT, asked))
        assert breaker.open_seconds == pytest.approx(kept)


@pytest.mark.parametrize("cause", [ModelFailure.AUTH, ModelFailure.CREDITS, ModelFailure.RATE_LIMIT])
@pytest.mark.parametrize("outcome", [ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT, ModelFailure.RATE_LIMIT])
def test_a_failed_trial_reopens_the_circuit_whatever_opened_it(cause: ModelFailure, outcome: ModelFailure) -> None:
    """A circuit that one error opened at once has counted no failures; the trial alone must open it again."""
    clock = Clock()
    breaker = Breaker(clock)
    breaker.record_failure(model_error(cause, 30))
    clock.now += breaker.open_seconds
    assert breaker.admit("x") is True
    breaker.record_failure(model_error(outcome))
    assert breaker.state is CircuitState.OPEN
    assert breaker.open_seconds == 10  # the second opening in a row
    with pytest.raises(ModelError) as refused:
        breaker.admit("x")
    assert (refused.value.kind, refused.value.retry_after) == (outcome, 10)


def test_many_questions_that_fail_together_are_one_rest() -> None:
    """Those that were under way when the circuit opened say nothing new; the rest does not grow with their number."""
    breaker = Breaker(Clock())
    for _ in range(64):
        breaker.record_failure(model_error(ModelFailure.UNAVAILABLE))
    breaker.record_failure(model_error(ModelFailure.RATE_LIMIT, 33))
    assert (breaker.state, breaker.open_seconds) == (CircuitState.OPEN, 5)


@pytest.mark.parametrize(
    ("kind", "ended"),
    [
        (ModelFailure.UNAVAILABLE, True),
        (ModelFailure.TIMEOUT, True),
        (ModelFailure.AUTH, True),
        (ModelFailure.CREDITS, False),
        (ModelFailure.RATE_LIMIT, False),
    ],
)
def test_what_the_return_of_a_source_ends(kind: ModelFailure, ended: bool) -> None:
    """Being away and a wrong key; not the wait that it asked for, nor missing money. Then one question passes."""
    breaker = Breaker(Clock())
    for _ in range(4):
        breaker.record_failure(model_error(kind, 300 if kind is ModelFailure.RATE_LIMIT else None))
    breaker.on_recovered()
    assert breaker.state is (CircuitState.HALF_OPEN if ended else CircuitState.OPEN)
    if ended:
        assert breaker.admit("x")
        with pytest.raises(ModelError):
            breaker.admit("x")
        breaker.record_failure(model_error(ModelFailure.TIMEOUT))
        assert breaker.open_seconds == 5  # the outage is over: cooldowns start again from the first


@pytest.mark.parametrize(
    ("kind", "retry_after", "rest"),
    [
        (ModelFailure.AUTH, None, 60),
        (ModelFailure.CREDITS, None, 60),
        (ModelFailure.RATE_LIMIT, 33, 33),
        (ModelFailure.RATE_LIMIT, None, 0),
        (ModelFailure.UNAVAILABLE, None, 0),
        (ModelFailure.BAD_REQUEST, None, 0),
        (ModelFailure.REFUSED, None, 0),
    ],
)
def test_what_one_error_means_for_the_next_question(kind: ModelFailure, retry_after: float | None, rest: float) -> None:
    """A wrong key rests at once, a rate limit as long as it says, a bad question not at all."""
    breaker = Breaker(Clock())
    breaker.record_failure(model_error(kind, retry_after))
    assert breaker.open_seconds == rest


# -- the quota of free models ------------------------------------------------------------------------------------------


def test_twenty_free_questions_a_minute() -> None:
    """The 21st waits until the first is a minute old."""
    clock = Clock()
    quota = FreeQuota(clock)
    for _ in range(20):
        quota.take()
        clock.now += 1
    with pytest.raises(ModelError) as refused:
        quota.take()
    assert refused.value.retry_after == pytest.approx(40)
    clock.now += 41
    quota.take()


def test_the_free_day_ends_at_midnight_utc() -> None:
    """What /key says is counted on, and forgotten on the next UTC day."""
    clock = Clock(now=86_400 * 20_000 + 80_000.0)
    quota = FreeQuota(clock)
    quota.learn(ProviderStatus("m", (), free_used=49, free_limit=50))
    quota.take()
    with pytest.raises(ModelError, match="50 questions a day") as refused:
        quota.take()
    assert refused.value.retry_after == pytest.approx(6400)
    quota.learn(ProviderStatus("m", (), free_used=48, free_limit=50))
    with pytest.raises(ModelError):
        quota.take()  # the account's figure lags behind ours
    clock.now += 6401
    quota.take()


# -- the context -------------------------------------------------------------------------------------------------------

messages = st.lists(
    st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), st.text(max_size=60)), min_size=1, max_size=12
).map(lambda rows: tuple(ChatMessage(role, text) for role, text in rows))  # type: ignore[arg-type]


@given(messages=messages, window=st.integers(40, 400))
@example(
    messages=(*(ChatMessage("user", "xx"), ChatMessage("assistant", "xxx")) * 4, ChatMessage("user", "")), window=62
)  # thirds add up
def test_what_is_kept_fits_and_is_the_newest(messages: tuple[ChatMessage, ...], window: int) -> None:
    """System messages and the last user message stay, the rest is a run of whole exchanges up to the last one."""
    room = window - min(100, window // 2)
    try:
        kept = fitted(ChatRequest(messages), window, 100).messages
    except ModelError:
        assert tokens_of(messages) > room
        return
    assert tokens_of(kept) <= room
    talk, kept_talk = ([message for message in row if message.role != "system"] for row in (messages, kept))
    assert [message for message in kept if message.role == "system"] == [
        message for message in messages if message.role == "system"
    ]
    assert talk[len(talk) - len(kept_talk) :] == kept_talk
    if 0 < len(kept_talk) < len(talk):
        assert kept_talk[0].role == "user"


@given(messages=messages)
def test_halving_always_comes_to_an_end(messages: tuple[ChatMessage, ...]) -> None:
    """Each time at least one exchange less, until only the question is left."""
    request: ChatRequest | None = ChatRequest(messages)
    for _ in range(len(messages) + 1):
        smaller = halved(request) if request is not None else None
        if smaller is not None and request is not None:
            assert len(smaller.messages) < len(request.messages)
        request = smaller
    assert request is None


# -- the money ---------------------------------------------------------------------------------------------------------


def test_money_is_counted_by_month_and_kept(tmp_path: Path) -> None:
    """A restart keeps the sum, a new month begins at nothing, and the larger of two opinions counts."""
    clock = Clock(now=1_796_000_000.0)
    spend = SpendTracker(tmp_path / "spending.json", clock)
    spend.add(0.25)
    spend.add(None)
    spend.save()
    again = SpendTracker(tmp_path / "spending.json", clock)
    assert again.spent == 0.25
    again.record_invoice("openrouter", 3.0)
    assert again.spent == 3.0
    clock.now += 32 * 86_400
    assert again.spent == 0.0
    assert SpendTracker(tmp_path / "spending.json", clock).spent == 0.0


def test_a_crash_forgets_two_seconds_of_spending_at_most(tmp_path: Path) -> None:
    """The first answer after a pause is noted at once, those that follow quickly together."""
    clock, path = Clock(now=1_796_000_000.0), tmp_path / "spending.json"
    spend = SpendTracker(path, clock)
    noted = []
    for seconds in (0, 1, 2):
        clock.now += seconds
        spend.add(0.25)
        noted.append(SpendTracker(path, clock).spent)
    assert noted == [0.25, 0.25, 0.75]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"month": 5}',
        '{"month": "2026-11", "spent_usd": "much"}',
        '{"month": "2026-11", "spent_usd": NaN}',
        "\x00",
    ],
)
def test_a_broken_note_of_the_spending_stops_nothing(content: str, tmp_path: Path) -> None:
    """It is counted from now on, and written anew."""
    path = tmp_path / "spending.json"
    path.write_text(content)
    spend = SpendTracker(path, lambda: 1_795_000_000.0)
    assert spend.spent == 0.0
    spend.add(1.0)
    spend.save()
    assert '"spent_usd": 1.0' in path.read_text()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sum is kept in memory, and the log says it."""
    spend = SpendTracker(tmp_path / "missing" / "spending.json", time.time)
    spend.add(1.0)
    spend.save()
    assert spend.spent == 1.0
    assert "cannot be noted" in caplog.text


# -- thoughts ----------------------------------------------------------------------------------------------------------


def filtered(chunks: list[str], *, inside: bool = False) -> tuple[str, str]:
    splitter = AnswerFilter(inside=inside)
    pairs = [splitter.feed(chunk) for chunk in chunks]
    return "".join(text for text, _ in pairs) + splitter.end(), "".join(thought for _, thought in pairs)


THOUGHTS = [
    ("plain", "plain", ""),
    ("<think>hm</think>\n\nyes", "yes", "hm"),
    ("  <THINKING>hm</Thinking> yes", "yes", "hm"),
    ("<think>a</think><think>b</think>yes", "yes", "ab"),
    ("<think></think>yes", "yes", ""),
    ("<thin", "<thin", ""),
    ("<thinker>x", "<thinker>x", ""),
    ("a <think>b</think>", "a ", "b"),
    ("First. <think>plan</think> Second.", "First. Second.", "plan"),
    ("<b>bold</b>", "<b>bold</b>", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "shown", "thought"), THOUGHTS)
def test_thoughts_are_taken_from_the_beginning(text: str, shown: str, thought: str) -> None:
    """However the text is cut into chunks, the outcome is the same."""
    whole = filtered([text])
    single = filtered(list(text))
    assert whole == single == (shown, thought)


@given(thought=st.text(alphabet="ab <>/\n"), answer=st.text(alphabet="xyz \n"), data=st.data())
def test_cutting_never_lets_a_thought_through(thought: str, answer: str, data: Any) -> None:
    """A marked thought stays hidden wherever the network cuts the stream."""
    text = f"<think>{thought}</think>{answer}"
    chunks = []
    while text:
        size = data.draw(st.integers(1, len(text)))
        chunks.append(text[:size])
        text = text[size:]
    shown, hidden = filtered(chunks)
    assert shown == answer.lstrip()
    assert hidden == thought


def test_thoughts_without_opening_are_cut_from_a_whole_answer() -> None:
    """Everything before a lone closing tag was thought."""
    assert cleaned("let me see\n</think>\n\n42") == "42"
    assert cleaned("42") == "42"


def test_text_that_only_might_have_been_thought_is_not_lost() -> None:
    """A model known for unopened thoughts that for once does not think is shown in full at the end."""
    assert filtered(["just ", "text"], inside=True) == ("just text", "")


# -- the words of failures ---------------------------------------------------------------------------------------------

WAITS: list[tuple[dict[str, str], dict[str, Any], float | None]] = [
    ({"retry-after": "17"}, {}, 17),
    ({"retry-after-ms": "1500"}, {}, 1.5),
    ({}, {"metadata": {"headers": {"Retry-After": "17"}}}, 17),
    ({}, {"metadata": {"retry_after_seconds": 4}}, 4),
    ({}, {"availability": {"retry_after": 8}}, 8),
    ({"retry-after": "soon"}, {}, None),
    ({"retry-after": "nan"}, {}, None),
    ({"retry-after": "-5"}, {}, 0),
    ({"retry-after": "1e99"}, {}, 86_400),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}, 0),
    ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, {}, None),
    ({"retry-after-ms": "120000", "retry-after": "1"}, {}, 120),
    ({"x-ms-retry-after-ms": "soon", "retry-after": "3"}, {}, 3),
    ({}, {"metadata": {"headers": {"Retry-After-Ms": 2500}}}, 2.5),
    ({}, {"metadata": {"headers": ["Retry-After"]}}, None),
    ({}, {"metadata": {"resets_at": "2015-10-21T07:28:00Z"}}, 0),
    ({}, {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999999"}}}, 86_400),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000000001"}, {}, 0),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, {}, 12),
    ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "12"}, {}, None),
]


@pytest.mark.parametrize(("headers", "error", "wait"), WAITS)
def test_the_wait_is_found_wherever_it_is_written(
    headers: dict[str, str], error: dict[str, Any], wait: float | None
) -> None:
    """Headers and bodies of several makers."""
    assert failure_of("x", 429, {"error": error}, headers).retry_after == wait


@pytest.mark.parametrize(
    "written",
    [
        lambda end: ({"retry-after": formatdate(end, usegmt=True)}, {}),
        lambda end: ({}, {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(end) * 1000)}}),
        lambda end: ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(end))}, {}),
        lambda end: ({}, {"resets_at": datetime.fromtimestamp(end, UTC).isoformat()}),
    ],
    ids=["an HTTP date", "milliseconds", "seconds", "an ISO date"],
)
def test_a_moment_in_the_future_is_a_wait(written: Callable[[float], tuple[dict[str, str], dict[str, Any]]]) -> None:
    """An HTTP date, an ISO date, or Unix time in seconds or milliseconds."""
    headers, metadata = written(time.time() + 1000)
    wait = failure_of("x", 429, {"error": {"metadata": metadata}}, headers).retry_after
    assert wait is not None
    assert 500 < wait < 1001


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
bodies = json_values | st.fixed_dictionaries(
    {
        "error": json_values
        | st.fixed_dictionaries({"code": json_values, "metadata": json_values, "availability": json_values})
    }
)


@given(status=st.integers(200, 599), body=bodies)
def test_no_body_of_an_error_is_an_error_of_ours(status: int, body: Any) -> None:
    """Whatever a source sends becomes a kind and a sentence."""
    found = failure_of("source", status, body, {})
    assert found.kind in ModelFailure
    assert found.message.startswith("source")
    assert len(found.message) < 400


# -- the list of answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing"),
        ("{", "not valid JSON"),
        ("[]", "must look like"),
        ('{"entries": [{"questions": "x", "answer": "y"}]}', "entry 1"),
        ('{"entries": [{"questions": ["x"]}]}', "entry 1"),
        ('{"entries": [{"questions": ["x"], "answer": [" ", ""]}]}', "entry 1"),
    ],
)
def test_a_broken_list_of_answers_is_a_sentence(content: str | None, problem: str, tmp_path: Path) -> None:
    """It is told, it finds nothing, and it heals when the file does."""
    path = tmp_path / "faq.json"
    if content is not None:
        path.write_text(content)
    faq = Faq(path)
    assert faq.find("hours") is None
    assert problem in faq.problem
    path.write_text('{"entries": [{"questions": ["hours"], "answer": "From 9 to 6."}], "default": "No idea."}')
    assert faq.find("What are your HOURS?") == ("From 9 to 6.", False)
    assert (faq.problem, faq.default) == ("", "No idea.")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("openng hours", "hours"),
        ("¿Cuál es el horario?", "hours"),
        ("営業時間は何時ですか", "hours"),
        ("ЧАСЫ РАБОТЫ", "hours"),
        ("something else", None),
        ("", None),
        ("🎉", None),
    ],
)
def test_answers_are_found_in_any_language(asked: str, answer: str | None, tmp_path: Path) -> None:
    """By words, by what is contained, by likeness."""
    path = tmp_path / "faq.json"
    path.write_text(
        '{"entries": [{"questions": ["opening hours", "horario", "営業時間は何時", "часы работы"], "answer": "hours"},'
        '{"questions": ["parking"], "answer": ["one", "two"]}]}',
        encoding="utf-8",
    )
    found = Faq(path).find(asked)
    assert (found.answer if found else None) == answer


@given(text=st.text(max_size=300))
def test_no_question_breaks_the_list_of_answers(text: str) -> None:
    """The file that is shipped takes whatever people write."""
    faq = Faq(Path("faq.json"))
    found = faq.find(text)
    assert found is None or found.answer
    assert faq.problem == ""
