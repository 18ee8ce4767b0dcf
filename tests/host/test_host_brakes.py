"""What services bear: windows, allowances, slots, rests, and what an error says of a service's load."""

from __future__ import annotations

import math
import threading
from asyncio import CancelledError
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.slots import Guest
from langgraph_speculate.host.allowance import Allowance
from langgraph_speculate.host.brakes import Brakes
from langgraph_speculate.host.overload import Overload, overload_of
from langgraph_speculate.host.service import Service
from langgraph_speculate.host.windows import Windows
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy

# -- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_moves_with_whoever_asks():
    """
    A call counts for as long as the rate says, its last instant included, and no longer.
    """
    windows, rate = Windows(), parse("2/minute")
    limiter = MovingWindowRateLimiter(windows)
    for now, granted in ((0.0, True), (30.0, True), (60.0, False), (60.1, True), (90.0, False), (90.1, True)):
        windows.now = now
        assert limiter.hit(rate, "a") is granted
    assert limiter.hit(rate, "b")


def test_windows_start_no_thread():
    """
    The storage that comes with `limits` starts one to forget, which would outlive the run.
    """
    before = threading.active_count()
    windows = Windows()
    for second in range(100):
        windows.now = float(second)
        MovingWindowRateLimiter(windows).hit(parse("5/second"))
    assert threading.active_count() == before


def test_calls_of_another_time_are_forgotten():
    """
    A clock that goes back must not keep a window full until it has caught up.
    """
    windows, rate = Windows(), parse("1/second")
    windows.now = 1000.0
    assert MovingWindowRateLimiter(windows).hit(rate)
    windows.now = 1.0
    assert MovingWindowRateLimiter(windows).hit(rate)


def test_other_strategies_of_limits_find_what_they_need():
    """
    It is a storage like others: counts, ends of windows, and forgetting.
    """
    windows, rate = Windows(), parse("2/second")
    limiter = FixedWindowRateLimiter(windows)
    windows.now = 5.0
    assert [limiter.hit(rate) for _ in range(3)] == [True, True, False]
    assert limiter.get_window_stats(rate) == (6.0, 0)
    assert not limiter.test(rate)
    limiter.clear(rate)
    assert limiter.test(rate)
    assert windows.check()
    assert limiter.hit(rate)
    assert windows.reset() == 1
    assert windows.get(rate.key_for()) == 0


# -- allowances ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "share", "early"),
    [
        ("600/minute", 0.2, "120 per 1 minute"),
        ("10/second", 0.25, "2 per 1 second"),
        ("1/second", 0.2, "1 per 5 second"),
        ("3 per 10 minutes", 0.1, "1 per 40 minute"),
        ("10/second", 1.0, "10 per 1 second"),
        ("10/second", 0.0, "0 per 1 second"),
    ],
)
def test_early_calls_have_their_share_in_whole_calls(rate: str, share: float, early: str):
    """
    Never more than the share; less than one call in a window becomes one in several.
    """
    assert repr(Allowance(rate, share).early) == early


def test_no_share_is_no_early_call():
    """
    `rate_share = 0` keeps what has a rate from running ahead.
    """
    assert not Allowance("10/second", 0.0).has_room(0.0)


moves = st.lists(
    st.tuples(st.sampled_from(["early", "early", "real", "adopted"]), st.sampled_from([0.0, 0.05, 0.3, 1.1])),
    max_size=120,
)


def within(times: Sequence[float], now: float) -> int:
    return sum(now - 1.0 <= at for at in times)


@given(moves, st.sampled_from([2, 5, 10]), st.sampled_from([0.2, 0.5, 1.0]))
def test_early_calls_never_exceed_their_share_nor_the_rate(moves: list[tuple[str, float]], rate: int, share: float):
    """
    Whatever happens, and in whichever order.
    """
    allowance, now = Allowance(f"{rate}/second", share), 0.0
    early: list[float] = []
    bodies: list[float] = []
    for kind, pause in moves:
        now += pause
        if kind == "early" and allowance.has_room(now):
            allowance.began_early(now)
            early.append(now)
            bodies.append(now)
            assert within(bodies, now) <= rate
            assert within(early, now) <= max(1, math.floor(share * rate))
        elif kind != "early":
            allowance.asked(now)
        if kind == "real":
            allowance.began(now)
            bodies.append(now)


def test_what_real_calls_have_needed_lately_is_kept_for_them():
    """
    And a little more, because there may be more of them than ever; after a while that is forgotten.
    """
    allowance = Allowance("10/second", 1.0)
    for _ in range(6):
        allowance.asked(0.0)
        allowance.began(0.0)
    granted = 0
    while allowance.has_room(5.0):
        allowance.began_early(5.0)
        granted += 1
    assert granted == 10 - 6 - 2
    assert allowance.has_room(301.0)
    for _ in range(6):
        allowance.began_early(301.0)
    assert allowance.has_room(301.0)


def test_a_hit_counts_once():
    """
    The early call has run for the real one, which needs no body: five of ten are left, and real calls expect them.
    """
    allowance = Allowance("10/second", 1.0)
    for _ in range(5):
        allowance.began_early(0.0)
        allowance.asked(0.1)
    granted = 0
    while allowance.has_room(0.2):
        allowance.began_early(0.2)
        granted += 1
    assert granted == 10 - 5 - math.isqrt(5)


# -- what an error says ------------------------------------------------------------------------------------------------


class Rejected(Exception):
    def __init__(self, **facts: Any) -> None:
        super().__init__("rejected")
        self.__dict__.update(facts)


def caused(error: BaseException) -> BaseException:
    try:
        try:
            raise error
        except BaseException as inner:
            raise ValueError("a tool's own words") from inner
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "overload"),
    [
        (Rejected(status_code=429), Overload(429)),
        (Rejected(code=503), Overload(503)),
        (Rejected(status=429), Overload(429)),
        (Rejected(response=SimpleNamespace(status_code=429)), Overload(429)),
        (Rejected(response=SimpleNamespace(status_code=503, headers={"retry-after": "120"})), Overload(503, 120.0)),
        (Rejected(status_code=429, headers={"Retry-After": "7"}), Overload(429, 7.0)),
        (Rejected(status_code=429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), Overload(429)),
        (Rejected(status_code=429, headers={"Retry-After": "inf"}), Overload(429)),
        (Rejected(status_code=429, headers={"Retry-After": "-5"}), Overload(429)),
        (Rejected(status_code=429, headers={"Retry-After": "9999999"}), Overload(429, 3600.0)),
        (caused(Rejected(status_code=429)), Overload(429)),
        (Rejected(status_code=500), None),
        (Rejected(status_code="429"), None),
        (Rejected(code=lambda: 429), None),
        (ValueError("429"), None),
        (None, None),
    ],
)
def test_an_error_tells_that_its_service_is_overloaded(error: BaseException | None, overload: Overload | None):
    """
    By the status that HTTP clients and SDKs put on it, or on what caused it; and for how long to leave it alone.
    """
    assert overload_of(error) == overload


def test_an_error_that_cannot_be_read_says_nothing():
    """
    Reading it runs somebody else's code.
    """

    class Hostile(Exception):
        @property
        def status_code(self) -> int:
            raise RuntimeError

    assert overload_of(Hostile()) is None


def test_errors_that_cause_each_other_are_followed_only_so_far():
    """
    A circle has no end.
    """
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert overload_of(one) is None


# -- services --------------------------------------------------------------------------------------------------------


def test_a_service_is_crowded_as_far_as_its_scarcest_part_is_in_use():
    """
    Slots by all bodies, rates by what early calls may have of them; one of which nothing is said is never crowded.
    """
    service = Service()
    service.slots.declare(10)
    service.declare("10/second", 0.4)
    seen = [service.crowding(now=0.0)]
    service.began(now=0.0)
    seen.append(service.crowding(now=0.0))
    service.began_early(now=0.0)
    seen.append(service.crowding(now=0.0))
    seen.append(service.crowding(now=5.0))
    assert seen == [0.0, 0.1, 0.25, 0.2]
    policy = SpeculationPolicy(tools={"get": ToolPolicy(read_only=True, slots=2), "find": ToolPolicy(read_only=True)})
    brakes = Brakes(policy, lambda cause, message: None)
    for tool, crowding in (("get", 0.5), ("find", 0.0)):
        brakes.began(tool, policy.tools[tool], 0.0)
        assert brakes.crowding(tool, policy.tools[tool], 0.0) == crowding
        brakes.ended(tool, policy.tools[tool], None, 0.0)


def test_all_declared_rates_hold():
    """
    Where two graphs say different things of one host.
    """
    service = Service()
    service.declare("10/second", 1.0)
    service.declare("2/second", 1.0)
    service.declare("10/second", 1.0)
    for _ in range(2):
        assert service.has_room(0.0)
        service.began_early(0.0)
    assert not service.has_room(0.0)


# -- one graph's -------------------------------------------------------------------------------------------------------

TOO_MANY = Rejected(status_code=429)


def brakes(**settings: Any) -> Brakes:
    return Brakes(SpeculationPolicy(**settings), lambda cause, message: None)


def test_a_longer_retry_after_is_respected():
    """
    A shorter one is not: the policy says what is the least.
    """
    for asked, rests in ((10.0, 60.0), (100.0, 100.0)):
        policy, braked = ToolPolicy(read_only=True), brakes()
        error = Rejected(status_code=429, headers={"Retry-After": str(asked)})
        braked.began("look", policy, 0.0)
        braked.ended("look", policy, error, 0.0)
        assert braked.refusal("look", policy, rests - 0.1) is Refusal.COOLING_DOWN
        assert braked.refusal("look", policy, rests) is None


def test_a_second_rejection_extends_the_rest_and_is_no_second_switch():
    """
    Real calls go on meanwhile, and what they hear counts.
    """
    policy, braked = ToolPolicy(read_only=True), brakes()
    for now in (0.0, 50.0):
        braked.began("look", policy, now)
        braked.ended("look", policy, TOO_MANY, now)
    assert braked.refusal("look", policy, 109.0) is Refusal.COOLING_DOWN
    assert braked.refusal("look", policy, 110.0) is None
    assert [(s.state, s.at) for s in braked.take_switches()] == [("off", 0.0), ("on", 110.0)]


def test_failures_count_in_a_row_and_only_those_of_bodies_that_ran():
    """
    One that went well, one that was stopped, one that never started and one that tripped a wire are no failures.
    """
    policy, braked = ToolPolicy(read_only=True), brakes()
    failed, well = Outcome(error=ValueError()), Outcome("value")
    others = [(Outcome(error=RuntimeError()), False), (Outcome(error=ValueError(), taint="state"), True)]
    for outcome, ran in [(failed, True), (failed, True), (well, True), *[(failed, True), *others, (failed, True)]]:
        assert braked.refusal("look", policy, 0.0) is None
        braked.ended_early("look", policy, outcome, ran, 0.0)
    assert braked.refusal("look", policy, 0.0) is None
    braked.ended_early("look", policy, failed, True, 0.0)
    assert braked.refusal("look", policy, 0.0) is Refusal.COOLING_DOWN
    (switch,) = braked.take_switches()
    assert (switch.reason, switch.settled, switch.status, switch.pause_s) == ("failing", 3, 0, 60.0)


def test_no_pause_is_none():
    """
    `cool_down_s = 0` turns cool-downs off.
    """
    policy, braked = ToolPolicy(read_only=True), brakes(limits={"cool_down_s": 0})
    braked.began("look", policy, 0.0)
    braked.ended("look", policy, TOO_MANY, 0.0)
    for _ in range(5):
        assert braked.refusal("look", policy, 0.0) is None
        braked.ended_early("look", policy, Outcome(error=ValueError()), True, 0.0)
    assert braked.take_switches() == []


def test_graphs_share_what_they_say_the_same_of():
    """
    The slots of a pool are the process's; a tool of the same name of which something else is said is another one.
    """
    same, other = ToolPolicy(read_only=True, slots=2), ToolPolicy(read_only=True, slots=3)
    one, two = brakes(), brakes()
    assert one.refusal("shared pool", same, 0.0) is None
    assert two.refusal("shared pool", same, 0.0) is Refusal.SLOTS
    assert two.refusal("shared pool", other, 0.0) is None
    one.ended_early("shared pool", same, Outcome("value"), True, 0.0)
    assert two.refusal("shared pool", same, 0.0) is None
    two.ended_early("shared pool", same, Outcome("value"), True, 0.0)


def test_tools_share_the_pool_that_they_name():
    """
    Those that write, too: a pool is one, whoever uses it; and each tool may have slots of its own besides.
    """
    tools = {"look": {"read_only": True, "host": "pool of four"}, "book": {"host": "pool of four"}}
    braked = brakes(tools=tools, pools={"pool of four": 4})
    look, book = ToolPolicy(read_only=True, host="pool of four"), ToolPolicy(host="pool of four")
    for _ in range(2):
        braked.began("book", book, 0.0)
    assert braked.crowding("look", look, 0.0) == 0.5
    assert braked.refusal("look", look, 0.0) is Refusal.SLOTS
    assert braked.refusal("look", look, 0.0, stoppable=True) is None
    own = ToolPolicy(read_only=True, host="pool of four", slots=1)
    assert braked.refusal("look", own, 0.0, stoppable=True) is Refusal.SLOTS


def test_a_real_call_that_finds_no_slot_has_the_one_of_an_early_body():
    """
    Of whatever graph; a body that does not stop keeps its own, and the next one is asked.
    """
    policy, one, two = ToolPolicy(read_only=True, slots=3), brakes(), brakes()
    asked: list[str] = []

    def guest(name: str, worth: float, *, stops: bool) -> Guest:
        assert two.refusal("busy pool", policy, 0.0, stoppable=True) is None
        made = Guest(worth, lambda: asked.append(name) or stops)
        two.began_early("busy pool", policy, made)
        return made

    guest("waited for", 0.1, stops=False)
    leaves = guest("worth less", 0.2, stops=True)
    one.began("busy pool", policy, 0.0)
    assert asked == []
    one.began("busy pool", policy, 0.0)
    assert asked == ["waited for", "worth less"]
    two.ended_early("busy pool", policy, Outcome(error=CancelledError()), True, 0.0, leaves)
    one.began("busy pool", policy, 0.0)
    assert asked == ["waited for", "worth less"]


def test_a_graph_does_not_pay_for_anothers_errors():
    """
    Two tools of one name of which nothing is said may have nothing in common.
    """
    policy, one, two = ToolPolicy(read_only=True), brakes(), brakes()
    one.began("look", policy, 0.0)
    one.ended("look", policy, TOO_MANY, 0.0)
    assert one.refusal("look", policy, 1.0) is Refusal.COOLING_DOWN
    assert two.refusal("look", policy, 1.0) is None


def test_real_calls_of_tools_that_write_count_for_their_host():
    """
    Its rate is one, whoever uses it.
    """
    host = "writes.example.org"
    braked = brakes(tools={"look": {"read_only": True, "host": host}, "book": {"host": host}}, rates={host: "4/second"})
    write, read = ToolPolicy(host=host), ToolPolicy(read_only=True, host=host)
    for _ in range(2):
        braked.began("book", write, 0.0)
        braked.ended("book", write, None, 0.0)
    assert braked.refusal("look", read, 0.5) is None  # less than one in a second is one in two
    braked.ended_early("look", read, Outcome("value"), True, 0.5)
    for _ in range(2):
        braked.began("book", write, 10.0)
    assert braked.refusal("look", read, 10.0) is None
    braked.began("book", write, 20.0)
    braked.began("book", write, 20.0)
    braked.began("book", write, 20.0)
    assert braked.refusal("look", read, 20.0) is Refusal.RATE


def test_a_refusal_takes_nothing():
    """
    A call that has no token has no slot and no place in the window either.
    """

    class Empty:
        def acquire(self, *, blocking: bool = True) -> bool:
            return False

    policy, braked = ToolPolicy(read_only=True, slots=2, rate_limiter=Empty()), brakes()
    assert braked.refusal("no token", policy, 0.0) is Refusal.RATE
    assert braked.refusal("no token", ToolPolicy(read_only=True, slots=2), 0.0) is None
