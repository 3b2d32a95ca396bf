from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.rate_limit import MIN_CHATS, RateLimit, RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


ONE_A_SECOND = RateLimit(1, 1.0)


def make(clock: Clock, overall: int = 30, chat: RateLimit = ONE_A_SECOND) -> RateLimiter:
    return RateLimiter(RateLimit(overall, 1.0), lambda _: (chat,), clock)


def test_the_second_call_to_a_chat_waits_out_the_second() -> None:
    """The first goes at once, the next get the following slots."""
    limiter = make(Clock())
    assert [limiter.acquire("a") for _ in range(3)] == [0.0, 1.0, 2.0]


def test_chats_do_not_wait_for_each_other() -> None:
    """Each has a window of its own."""
    limiter = make(Clock())
    limiter.acquire("a")
    assert limiter.acquire("b") == 0.0


def test_all_chats_together_share_the_overall_limit() -> None:
    """The third chat waits for the window of all."""
    limiter = make(Clock(), overall=2)
    assert [limiter.acquire(chat) for chat in "abc"] == [0.0, 0.0, 1.0]


def test_a_chat_waits_for_one_slot_of_each_that_waits_already() -> None:
    """However many there are: slots are given in the order in which they are asked for."""
    limiter = make(Clock())
    assert [limiter.acquire(str(number)) for number in range(1200)] == [number // 30 for number in range(1200)]
    assert limiter.acquire("newcomer") == 40.0


def test_asking_for_the_wait_of_a_chat_reserves_nothing() -> None:
    """A chat that must wait for a minute takes no slot of the others meanwhile."""
    clock = Clock()
    limiter = make(clock, overall=2, chat=RateLimit(1, 60.0))
    limiter.acquire("a")
    clock.now += 1
    assert [limiter.chat_wait("a") for _ in range(3)] == [59.0, 59.0, 59.0]
    assert [limiter.acquire(chat) for chat in "bc"] == [0.0, 0.0]
    clock.now += 59
    assert limiter.chat_wait("a") == 0.0


def test_a_paused_chat_waits_and_the_others_do_not() -> None:
    """As after a 429 with retry_after."""
    clock = Clock()
    limiter = make(clock)
    limiter.pause("a", 30.0)
    assert (limiter.is_paused("a"), limiter.chat_wait("a"), limiter.chat_wait("b")) == (True, 30.0, 0.0)
    clock.now += 30
    assert (limiter.is_paused("a"), limiter.chat_wait("a")) == (False, 0.0)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The later end of two pauses is in force."""
    limiter = make(Clock())
    limiter.pause("a", 30.0)
    limiter.pause("a", 5.0)
    assert limiter.chat_wait("a") == 30.0


def test_a_paused_chat_gets_no_optional_call() -> None:
    """However short the pause is; other chats get theirs."""
    limiter = make(Clock(), chat=RateLimit(4, 60.0))
    limiter.pause("a", 0.5)
    assert (limiter.try_acquire("a"), limiter.try_acquire("b")) == (False, True)


def test_each_chat_has_the_limits_of_its_own_id() -> None:
    """Groups and private chats differ."""
    limiter = RateLimiter(RateLimit(30, 1.0), lambda chat: (RateLimit(2 if chat == "group" else 1, 1.0),), Clock())
    assert [limiter.acquire("group") for _ in range(3)] == [0.0, 0.0, 1.0]
    assert [limiter.acquire("private") for _ in range(2)] == [0.0, 1.0]


def test_no_chat_is_paused_when_the_clock_starts() -> None:
    """A monotonic clock may begin at zero."""
    clock = Clock()
    clock.now = 0.0
    limiter = make(clock)
    assert (limiter.is_paused("a"), limiter.chat_wait("a")) == (False, 0.0)


def test_spare_slots_are_given_only_while_half_of_the_room_is_left() -> None:
    """Cosmetic calls must never cost an answer its slot."""
    limiter = make(Clock(), chat=RateLimit(4, 60.0))
    assert [limiter.try_acquire("a") for _ in range(4)] == [True, True, False, False]
    assert [limiter.acquire("a") for _ in range(2)] == [0.0, 0.0]


def test_chats_of_long_ago_are_forgotten() -> None:
    """Memory does not grow with all users who ever wrote."""
    clock = Clock()
    limiter = make(clock)
    for number in range(3000):
        clock.now += 1
        limiter.acquire(str(number))
    assert len(limiter._chats) <= 1001


@given(st.lists(st.floats(0, 1.5), min_size=1, max_size=60))
def test_no_window_of_a_minute_ever_holds_more_than_allowed(pauses: list[float]) -> None:
    """Whatever the rhythm of the calls, those that were let through keep the rule."""
    clock = Clock()
    limiter = make(clock, chat=RateLimit(3, 5.0))
    made = []
    for pause in pauses:
        clock.now += pause
        made.append(clock.now + limiter.acquire("a"))
    assert all(later - earlier >= 5.0 - 1e-6 for earlier, later in zip(made, made[3:], strict=False))


def test_many_waiting_chats_are_looked_through_seldom() -> None:
    """None of them is idle, so none can be forgotten; each new one must not cost a look at all of them."""
    limiter, looked = make(Clock(), overall=1), 0
    forget = limiter._forget_idle_chats

    def counted() -> None:
        nonlocal looked
        before = limiter._most_chats
        forget()
        looked += limiter._most_chats != before

    limiter._forget_idle_chats = counted  # type: ignore[method-assign]
    for number in range(20_000):
        limiter.acquire(str(number))
    assert looked <= 5


def test_idle_chats_are_forgotten() -> None:
    """Among them those of a rush that is over."""
    clock = Clock()
    limiter = make(clock, overall=100_000)
    for number in range(5000):
        limiter.acquire(str(number))
    clock.now += 10
    for number in range(5000, 5000 + MIN_CHATS * 8):
        limiter.acquire(str(number))
        clock.now += 10
    assert len(limiter._chats) <= MIN_CHATS * 8
