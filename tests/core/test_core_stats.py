"""Sums over events: by hand, by tool, and out of anybody's reach."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Launch, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.observe.previews import PreviewCounts
from langgraph_speculate.observe.stats import ShadowCounts, Stats, StatsCollector
from langgraph_speculate.policy import Limits, Rule, ToolPolicy

AT: dict[str, Any] = {"run": "r", "at": 0.0}


def launched(id: str, tool: str) -> events.Event:
    return events.Launched(**AT, turn="t", id=id, tool=tool, probability=0.5, source="s")


def finished(id: str, tool: str, seconds: float, ok: bool = True) -> events.Event:
    return events.Finished(**AT, id=id, tool=tool, seconds=seconds, ok=ok)


def settled(tool: str, id: str | None = None, *, joined: bool = False) -> events.Event:
    return events.CallSettled(**AT, tool=tool, id=id, joined=joined, waited_s=0.5, tool_s=1.0)


ONE_RUN: list[events.Event] = [
    events.TurnBegan(**AT, turn="t1"),
    events.Predicted(
        **AT, turn="t1", candidates=(("get", 0.9, "s"), ("get", 0.5, "s"), ("list", 0.2, "s"), ("set", 0.1, ""))
    ),
    launched("r:1", "get"),
    launched("r:2", "get"),
    launched("r:3", "list"),
    events.Denied(**AT, turn="t1", tool="set", reason="not_read_only", detail="…"),
    events.Refused(**AT, turn="t1", tool="get", reason="max_per_turn"),
    events.Refused(**AT, turn="t1", tool="list", reason="max_per_turn"),
    finished("r:1", "get", 1.0),
    events.TurnEnded(**AT, turn="t1", calls=("get", "list", "set"), foreseen=3),
    events.Discarded(**AT, id="r:2", tool="get", reason="contradicted"),
    settled("get", "r:1"),
    finished("r:2", "get", 2.0, ok=False),
    events.Wasted(**AT, id="r:2", tool="get", seconds=2.0),
    finished("r:3", "list", 1.0),
    settled("list", "r:3", joined=True),
    settled("set"),
    events.StepSettled(**AT, tool="get", tool_s=1.0, waited_s=0.25),
    events.TurnBegan(**AT, turn="t2"),
    events.StepSettled(**AT, tool="set", tool_s=0.5, waited_s=0.75),
    *(events.Switched(**AT, scope="tool", name="get", state=state, reason="worth") for state in ("off", "on", "off")),
    events.RunClosed(**AT, launched=3, hits=2, hidden_s=0.5),
]


def stats_of(*happened: events.Event) -> Stats:
    collector = StatsCollector()
    collector.add(happened)
    return collector.snapshot()


@pytest.mark.parametrize("first", [settled("set"), settled("get", "r:1")], ids=["miss", "hit"])
def test_what_is_counted_is_a_number_after_the_first_call_of_a_tool_too(first: events.Event):
    """
    JSON and tables show 0 and 1, never false and true.
    """
    stats = stats_of(first)
    for counts in (stats, *stats.by_tool.values()):
        values = [getattr(counts, field.name) for field in dataclasses.fields(counts)]
        assert not [value for value in values if isinstance(value, bool)]


def test_one_run_adds_up_to_what_a_hand_counts():
    """
    Every field of the record, from one readable run.
    """
    stats = stats_of(*ONE_RUN)
    totals = {field.name: getattr(stats, field.name) for field in dataclasses.fields(stats)}
    by_tool = totals.pop("by_tool")
    assert totals == {
        "runs": 1,
        "turns": 2,
        "foreseen": 3,
        "real_calls": 3,
        "predicted": 4,
        "launched": 3,
        "hits": 2,
        "ready": 1,
        "joined": 1,
        "hedged": 0,
        "hedge_wins": 0,
        "repeats": 0,
        "misses": 1,
        "wasted": 1,
        "switched": {"tool off": 2, "tool on": 1},
        "denied": {"not_read_only": 1, "max_per_turn": 2},
        "discarded": {"contradicted": 1},
        "ghosts": {},
        "launched_by_depth": {1: 3},
        "hits_by_depth": {1: 2},
        "hidden_s": 0.5,
        "wasted_s": 2.0,
        "wasted_cost": 0.0,
        "tool_wait_s": 1.0,
        "amplification": 4 / 3,  # three bodies early, one for real, for three calls
        "warmed": 0,
        "warm_used": 0,
        "warm_wasted_s": 0.0,
        "previews": PreviewCounts(),
        "dropped": 0,
        "shadow": ShadowCounts(),
    }
    assert list(by_tool) == ["get", "list", "set"]
    get = by_tool["get"]
    assert (get.real_calls, get.predicted, get.launched, get.hits, get.ready, get.joined) == (1, 2, 2, 1, 1, 0)
    assert (get.wasted, get.wasted_s, get.hidden_s, get.amplification) == (1, 2.0, 0.75, 2.0)
    assert by_tool["set"].amplification == 1.0


def test_nothing_happened_yet():
    """
    No division by no calls.
    """
    assert StatsCollector().snapshot() == Stats()


def test_calls_without_speculation_are_amplified_by_one():
    """
    The plain graph executes each call once.
    """
    assert stats_of(settled("get"), settled("set")).amplification == 1.0


def test_every_execution_counts_towards_amplification():
    """
    A body that failed or was not wanted was executed nonetheless.
    """
    happened = [launched("1", "get"), finished("1", "get", 1.0, ok=False), settled("get"), settled("get")]
    assert stats_of(*happened).amplification == 1.5


def test_a_body_that_never_started_is_no_execution():
    """
    A speculation that found no worker, or was cancelled first, executed nothing.
    """
    tool = ToolFacts("get", Rule(ToolPolicy(read_only=True), "tools.get"))
    session = Session("r", RunView("declared", None, Epochs()), Limits())
    session.begin_turn("t", 0.0)
    proposal = Proposal(Candidate(Call("get"), 1.0), Call("get"), tool, "thread")
    (launch,) = session.predicted("t", [proposal], 0.0)
    assert isinstance(launch, Launch)
    session.finish(launch.speculation.id, Outcome(error=RuntimeError("no slot")), 0, 1.0, None)
    session.settle("get", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=2.0)
    assert stats_of(*session.take_events()).amplification == 1.0


def test_a_hit_is_ready_or_joined_and_a_miss_is_neither():
    """
    `joined` says that the call waited; without an adopted result it says nothing.
    """
    stats = stats_of(settled("a", "1"), settled("a", "2", joined=True), settled("a"), settled("a", None, joined=True))
    assert (stats.real_calls, stats.hits, stats.ready, stats.joined, stats.misses) == (4, 2, 1, 1, 2)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Stats)])
def test_a_snapshot_cannot_be_changed(field: str):
    """
    Who reads statistics cannot falsify them.
    """
    stats = stats_of(*ONE_RUN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(stats, field, None)
    value = getattr(stats, field)
    if field in ("denied", "discarded", "ghosts", "by_tool"):
        with pytest.raises(TypeError):
            value["x"] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.by_tool["get"].hits = 9  # type: ignore[misc]


def test_a_run_that_ends_while_events_are_added_waits_for_nobody():
    """
    A run that nobody holds on to ends when it is collected, which may be in the midst of counting another's events.
    """
    collector = StatsCollector()

    def interrupted() -> Iterator[events.Event]:
        for event in ONE_RUN:
            collector.add([])
            yield event

    adding = threading.Thread(target=lambda: collector.add(interrupted()), daemon=True)
    adding.start()
    adding.join(10)
    assert not adding.is_alive()
    assert collector.snapshot() == stats_of(*ONE_RUN)


def test_a_snapshot_does_not_move():
    """
    What happens later shows in the next one only.
    """
    collector = StatsCollector()
    collector.add(ONE_RUN)
    first = collector.snapshot()
    shown = repr(first)
    collector.add(ONE_RUN)
    assert repr(first) == shown
    assert collector.snapshot().launched == 2 * first.launched


def test_defaults_are_not_shared():
    """
    Not even the empty mappings of a fresh record can be written to.
    """
    with pytest.raises(TypeError):
        Stats().denied["x"] = 1  # type: ignore[index]


def test_an_event_of_another_kind_is_passed_over():
    """
    Records that count nothing, and those of later versions.
    """
    assert stats_of(events.Event(**AT)) == Stats()


def test_threads_may_add_at_once():
    """
    Runs of one graph share their statistics.
    """
    collector = StatsCollector()
    threads = [threading.Thread(target=lambda: [collector.add(ONE_RUN) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (collector.snapshot().launched, collector.snapshot().hidden_s) == (3 * 400, 0.5 * 400)


tools = st.sampled_from(["a", "b", "c"])
quarters = st.integers(0, 40).map(lambda count: count / 4)  # sums of quarters are exact
any_event = st.one_of(
    st.builds(events.TurnBegan, run=st.just("r"), at=quarters, turn=st.just("t")),
    st.builds(
        events.Predicted,
        run=st.just("r"),
        at=quarters,
        turn=st.just("t"),
        candidates=st.lists(st.tuples(tools, quarters, st.just("s")), max_size=3).map(tuple),
    ),
    st.builds(events.Denied, run=st.just("r"), at=quarters, turn=st.just("t"), tool=tools, reason=tools, detail=tools),
    st.builds(events.Refused, run=st.just("r"), at=quarters, turn=st.just("t"), tool=tools, reason=tools),
    st.builds(launched, st.just("r:1"), tools),
    st.builds(finished, st.just("r:1"), tools, quarters),
    st.builds(events.Discarded, run=st.just("r"), at=quarters, id=st.just("r:1"), tool=tools, reason=tools),
    st.builds(events.Wasted, run=st.just("r"), at=quarters, id=st.just("r:1"), tool=tools, seconds=quarters),
    st.builds(settled, tools, st.none() | st.just("r:1"), joined=st.booleans()),
    st.builds(events.StepSettled, run=st.just("r"), at=quarters, tool=tools, tool_s=quarters, waited_s=quarters),
    st.builds(events.RunClosed, run=st.just("r"), at=quarters, launched=st.just(1), hits=st.just(1), hidden_s=quarters),
)
SUMMED = ["real_calls", "predicted", "launched", "hits", "ready", "joined", "misses", "wasted"]
SUMMED += ["hedged", "hedge_wins", "repeats"]
SUMMED += ["hidden_s", "wasted_s", "tool_wait_s"]


@given(st.lists(any_event, max_size=30))
def test_what_tools_have_adds_up_to_the_whole(happened: list[events.Event]):
    """
    Nothing is lost between tools, and nothing counted twice.
    """
    stats = stats_of(*happened)
    for name in SUMMED:
        assert getattr(stats, name) == sum(getattr(tool, name) for tool in stats.by_tool.values())
    for reason, count in stats.denied.items():
        assert count == sum(tool.denied.get(reason, 0) for tool in stats.by_tool.values())
    assert stats.hits + stats.misses + stats.repeats == stats.real_calls
    assert stats.ready + stats.joined == stats.hits
    assert stats.wasted == sum(stats.discarded.values())


SHADOW: list[events.Event] = [
    *(
        events.ShadowLaunched(**AT, turn="t1", id=id, tool=tool, probability=0.5, source="s")
        for id, tool in (("r:1", "get"), ("r:2", "list"), ("r:3", "get"), ("r:4", "list"))
    ),
    events.ShadowSettled(**AT, tool="get", id="r:1", joined=False, waited_s=0.0, tool_s=1.0),
    events.ShadowSettled(**AT, tool="list", id="r:2", joined=True, waited_s=0.25, tool_s=0.5),
    events.ShadowSettled(**AT, tool="set", id=None, joined=False, waited_s=0.5, tool_s=0.5),
    events.ShadowStepSettled(**AT, tool="get", tool_s=1.0, waited_s=0.5),
    events.ShadowWasted(**AT, id="r:3", tool="get", reason="contradicted", seconds=0.75, cost=0.5),
    events.ShadowWasted(**AT, id="r:4", tool="list", reason="failed", seconds=0.25, known=False),
]


def test_what_would_have_happened_is_counted_apart():
    """
    In the same fields, and in no other count.
    """
    stats = stats_of(*ONE_RUN, *SHADOW)
    assert dataclasses.replace(stats, shadow=ShadowCounts()) == stats_of(*ONE_RUN)
    shadow = stats.shadow
    assert (shadow.real_calls, shadow.launched, shadow.hits, shadow.ready, shadow.joined) == (3, 4, 2, 1, 1)
    assert (shadow.misses, shadow.wasted, shadow.unknown) == (1, 2, 1)
    assert (shadow.hidden_s, shadow.tool_wait_s, shadow.wasted_s, shadow.wasted_cost) == (0.5, 0.5, 1.0, 0.5)
    assert shadow.amplification == 5 / 3  # two that hit, two in vain, one for real
    assert {name: (counts.launched, counts.hits) for name, counts in shadow.by_tool.items()} == {
        "get": (2, 1),
        "list": (2, 1),
        "set": (0, 0),
    }
    told = "in shadow: 4 launched, 2 of 3 calls hit (1 ready, 1 joined), 0.50 s hidden, 2 in vain for 1.00 s and 0.5 in"
    assert told in " ".join(str(stats).split())
    assert "in shadow" not in str(stats_of(*ONE_RUN))


@given(st.lists(any_event, max_size=12), st.integers(0, 12))
def test_it_does_not_matter_how_events_are_handed_over(happened: list[events.Event], cut: int):
    """
    One by one or all at once.
    """
    collector = StatsCollector()
    collector.add(happened[:cut])
    collector.add(iter(happened[cut:]))
    assert collector.snapshot() == stats_of(*happened)


def test_warm_ups_are_counted_apart_from_hits():
    """
    Each is used or wasted in the end, in all and for its tool; no speculation is counted for it.
    """
    collector = StatsCollector()
    at = {"run": "r", "at": 0.0}
    for warm_up, tool in (("w1", "search"), ("w2", "search"), ("w3", "other")):
        collector.add([events.WarmUpBegan(**at, turn="t", warm_up=warm_up, tool=tool, probability=0.5)])
        collector.add([events.WarmUpEnded(**at, warm_up=warm_up, tool=tool, seconds=0.5, ok=True)])
    collector.add([events.WarmUpUsed(**at, warm_up="w1", tool="search")])
    collector.add(
        [
            events.WarmUpWasted(**at, warm_up=id, tool=tool, seconds=0.5)
            for id, tool in (("w2", "search"), ("w3", "other"))
        ]
    )
    stats = collector.snapshot()

    assert (stats.warmed, stats.warm_used, stats.warm_wasted_s) == (3, 1, 1.0)
    assert (stats.launched, stats.hits, stats.wasted, stats.wasted_s) == (0, 0, 0, 0.0)
    search = stats.by_tool["search"]
    assert (search.warmed, search.warm_used, search.warm_wasted_s) == (2, 1, 0.5)


def test_printed_sums_are_a_table_that_fits_a_screen():
    """
    The tools that are called most, then all, then why guesses were held back and discarded, most frequent first.
    """
    calls = [settled(f"tool_{number:02}") for number in range(40) for _ in range(number + 1)]
    lines = str(stats_of(*ONE_RUN, *calls)).splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["tool", "calls", "hits", "launched", "in", "vain", "hidden", "s", "wasted", "s"]
    assert [line.split()[:2] for line in lines[1:3]] == [["tool_39", "40"], ["tool_38", "39"]]
    (everything,) = (line.split() for line in lines if line.startswith("all "))
    assert everything == ["all", "823", "2", "3", "1", "0.50", "2.00"]
    assert "held back: max_per_turn 2, not_read_only 1" in lines
    assert "discarded: contradicted 1" in lines


def test_what_rounds_to_nothing_has_no_sign():
    """
    Where a wait outlasts its body by a moment, nothing was hidden.
    """
    assert str(Stats(hidden_s=-0.001)).splitlines()[1].split()[-2:] == ["0.00", "0.00"]


def test_printed_sums_of_nothing_are_short():
    """
    Before the first run, and with nothing to hold back.
    """
    assert str(Stats()).splitlines()[1:] == [
        "all       0     0         0        0      0.00      0.00",
        "0 runs, 0 turns; 0 of 0 calls foreseen",
    ]


def test_a_name_cannot_forge_a_line_of_printed_sums():
    """
    Names are somebody else's text.
    """
    printed = str(stats_of(settled("get\nall 1000 \x1b[31m" + "x" * 500)))
    assert len(printed.splitlines()) == 4
    assert max(map(len, printed.splitlines())) <= 100
    assert "\x1b" not in printed
