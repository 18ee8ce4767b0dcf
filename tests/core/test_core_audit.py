"""The audit: each rule has a history that breaks it, and a neighbour that does not."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_core_machine import BOUNDS, READS, WRITES, OneRun, anything

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Commit, Proposal
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import ALLOW
from langgraph_speculate.core.marks import Marks, touching
from langgraph_speculate.core.resources import Epochs, overlap
from langgraph_speculate.core.session import Session
from langgraph_speculate.errors import BadLog
from langgraph_speculate.observe.audit import Auditor, audit
from langgraph_speculate.observe.log import as_json
from langgraph_speculate.policy import Limits

# -- marks -----------------------------------------------------------------------------------------------------------

tags = st.sets(st.text("ab*", max_size=4).map(lambda text: text[:-1].replace("*", "a") + text[-1:]), max_size=3)


@given(read=tags, written=tags, others=tags, seed=st.integers(0, 2**64 - 1))
def test_marks_touch_exactly_where_tags_overlap(read: set[str], written: set[str], others: set[str], seed: int):
    """
    With the lengths of a read noted at its launch, the marks of a later write and of the read's use say what tags say.
    """
    marks = Marks(seed)
    marks.note(others)
    marks.note(read)
    write = marks.of(written)
    assert touching(marks.of(read), write) is any(overlap(left, right) for left in read for right in written)


def test_marks_of_different_seeds_have_nothing_in_common():
    """
    Without the number that a process keeps to itself, a hash says nothing about the tag it was made of.
    """
    assert not touching(Marks(1).of({"order:7", "stock:*"}), Marks(2).of({"order:7", "stock:*"}))


def test_a_tag_without_a_utf8_form_has_marks():
    """
    Half a surrogate pair in an argument must not stop a run.
    """
    assert touching(Marks().of({"order:\ud800"}), Marks().of({"order:\ud800"}))


# -- histories made by hand --------------------------------------------------------------------------------------------


def began(run: str = "r", world: str = "w", partition: str = "p", **limits: int) -> events.RunBegan:
    wide = {"max_in_flight": 4, "max_per_turn": 4, "max_per_run": 9, "max_wasted_per_run": 9}
    return events.RunBegan(run=run, at=0.0, partition=partition, world=world, **{**wide, **limits})


def launched(id: str = "r:1", epoch: int = 0, turn: str = "t", run: str = "r", at: float = 1.0) -> events.Launched:
    facts = {"tool": "get", "probability": 0.9, "source": "s", "ttl_s": 5.0}
    return events.Launched(run=run, at=at, id=id, turn=turn, epoch=epoch, **facts)


def finished(id: str = "r:1", ok: bool = True) -> events.Finished:
    return events.Finished(run="r", at=2.0, id=id, tool="get", seconds=1.0, ok=ok)


def matched(
    id: str = "r:1", epoch: int = 0, reads: Iterable[str] = ("=a",), run: str = "r", at: float = 2.0
) -> events.Matched:
    return events.Matched(run=run, at=at, id=id, tool="get", epoch=epoch, reads=tuple(reads))


def committed(id: str = "r:1", run: str = "r", at: float = 2.0) -> events.Committed:
    return events.Committed(run=run, at=at, id=id, tool="get")


def discarded(id: str = "r:1", reason: str = "contradicted") -> events.Discarded:
    return events.Discarded(run="r", at=2.0, id=id, tool="get", reason=reason)


def wasted(id: str = "r:1") -> events.Wasted:
    return events.Wasted(run="r", at=2.0, id=id, tool="get", seconds=1.0)


def settled(id: str | None = "r:1", joined: bool = False) -> events.CallSettled:
    return events.CallSettled(run="r", at=2.0, id=id, tool="get", joined=joined, waited_s=0.0, tool_s=1.0)


def wrote(
    began: bool, epoch: int, marks: Iterable[str] = ("=a",), run: str = "r", at: float = 1.5, **facts: Any
) -> events.Wrote:
    return events.Wrote(run=run, at=at, began=began, epoch=epoch, writes=tuple(marks), **facts)


def closed(launched: int = 1, hits: int = 1, at: float = 3.0) -> events.RunClosed:
    return events.RunClosed(run="r", at=at, launched=launched, hits=hits, hidden_s=0.0)


def numbered(*happened: events.Event) -> list[events.Event]:
    """Records as a run would number them, none earlier than the one before."""
    seen: Counter[str] = Counter()
    now: dict[str, float] = {}
    records = []
    for event in happened:
        seen[event.run] += 1
        now[event.run] = max(event.at, now.get(event.run, 0.0))
        records.append(dataclasses.replace(event, number=seen[event.run], at=now[event.run]))
    return records


HIT = [launched(), finished(), matched(), committed(), settled(), closed()]
JOIN = [launched(), matched(), finished(), committed(), settled(joined=True), closed()]
LOSS = [launched(), finished(), discarded(), wasted(), closed(hits=0)]

CORRECT: dict[str, list[events.Event]] = {
    "nothing": [],
    "a run that only began": [began()],
    "an empty run": [began(), closed(0, 0)],
    "a hit": [began(), *HIT],
    "a join": [began(), *JOIN],
    "a loss": [began(), *LOSS],
    "a run that goes on": [began(), launched(), finished()],
    "a body that fails": [began(), launched(), finished(ok=False), discarded(reason="failed"), wasted(), closed(1, 0)],
    "a body that never started": [began(), launched(), discarded(reason="no_slot"), wasted(), closed(1, 0)],
    "a body that drains after the end": [began(), launched(), discarded(), closed(1, 0), finished(), wasted()],
    "a guess in place of one that the stream ruled out": [
        *[began(max_per_turn=1), launched(), discarded(), launched("r:2"), finished("r:2"), matched("r:2")],
        *[committed("r:2"), settled("r:2"), wasted(), closed(2, 1)],
    ],
    "a guess in place of one that was worth less": [
        *[began(max_per_turn=1), launched(), discarded(reason="preempted"), launched("r:2"), finished("r:2")],
        *[matched("r:2"), committed("r:2"), settled("r:2"), wasted(), closed(2, 1)],
    ],
    "calls that the model had written": [
        began(max_per_turn=0, max_per_run=0),
        *[
            dataclasses.replace(event, stage="complete") if isinstance(event, events.Launched) else event
            for event in HIT
        ],
    ],
    "a body that fails after its discard": [began(), launched(), discarded(), finished(ok=False), wasted()],
    "a call that settles after the end": [
        *[began(), launched(), finished(), matched(), committed()],
        *[closed(hits=0), settled()],
    ],
    "a join that nobody waits for any more": [began(), launched(), matched(), discarded(reason="abandoned")],
    "a committed result whose call was cancelled": [began(), *HIT[:4], closed(hits=0)],
    "a write of something else": [
        began(),
        launched(),
        wrote(True, 1, ["=b"]),
        wrote(False, 2, ["=b"]),
        matched(epoch=2),
    ],
    "a write before": [began(), wrote(True, 1, at=0.5), wrote(False, 2, at=0.5), launched(epoch=2), matched(epoch=2)],
    "a write after": [began(), launched(), matched(), wrote(True, 1, at=2.0), finished(), committed()],
    "a write that made it stale": [began(), launched(), wrote(True, 1), discarded(reason="stale")],
    "a write whose end is not in the log": [began(), wrote(True, 1, at=0.5), launched(epoch=1), matched(epoch=1)],
    "a write to another world": [began(), launched(), began("q", "v", "o"), wrote(True, 1, run="q"), *HIT[1:]],
    "a pattern elsewhere": [began(), launched(), wrote(True, 1, ["*2:b"]), matched(epoch=1, reads=["=c", "2:d"])],
    "as old as allowed": [began(), launched(at=1.0), finished(), matched(at=6.0), committed(at=6.0)],
    "budgets used up": [
        began(max_in_flight=2, max_per_turn=2, max_per_run=3, max_wasted_per_run=1),
        *[launched("r:1"), launched("r:2"), discarded("r:2"), wasted("r:2"), launched("r:3", turn="u")],
    ],
    "two partitions": [began(), began("q", "v", "o")],
    "one partition after another": [
        *[began(), closed(0, 0, at=0.0)],
        dataclasses.replace(began("q", "v"), at=1.0),
    ],
}

BROKEN: dict[str, tuple[str, list[events.Event]]] = {
    "launched twice": ("lifecycle", [began(), launched(), launched()]),
    "launched by two runs": ("lifecycle", [began(), launched(), began("q"), launched(run="q")]),
    "two ends": ("lifecycle", [began(), *HIT[:-1], discarded()]),
    "discarded twice": ("lifecycle", [began(), launched(), discarded(), discarded()]),
    "a body that ends twice": ("lifecycle", [began(), launched(), finished(), finished()]),
    "a body that nobody started": ("lifecycle", [began(), finished()]),
    "a discard of what was not launched": ("lifecycle", [began(), discarded()]),
    "wasted but not discarded": ("lifecycle", [began(), launched(), wasted()]),
    "matched, ended well, forgotten": ("lifecycle", [began(), launched(), finished(), matched(), closed(hits=0)]),
    "committed twice": ("commit", [began(), *HIT[:4], committed(), settled()]),
    "used by two calls": ("commit", [began(), *HIT[:5], settled()]),
    "used but not committed": ("commit", [began(), launched(), finished(), settled()]),
    "committed while it runs": ("commit", [began(), launched(), committed()]),
    "joined and committed while it runs": ("commit", [began(), launched(), matched(), committed()]),
    "committed though nobody asked": ("commit", [began(), launched(), finished(), committed()]),
    "matched after its discard": ("commit", [began(), launched(), discarded(), matched()]),
    "committed after its discard": ("commit", [began(), launched(), discarded(), committed()]),
    "a failed body is matched": ("commit", [began(), launched(), finished(ok=False), matched()]),
    "a join of what fails": ("commit", [began(), launched(), matched(), finished(ok=False), committed()]),
    "two calls wait for one": ("commit", [began(), launched(), matched(), matched()]),
    "older than allowed": ("commit", [began(), launched(at=1.0), finished(), matched(at=6.5), committed(at=6.5)]),
    "of another run": ("commit", [began(), launched(), finished(), began("q"), committed(run="q")]),
    "of another partition": ("commit", [began(), launched(), finished(), began("q", "v", "o"), matched(run="q")]),
    "of no run": ("commit", [began(), settled("r:9")]),
    "a write began between": ("stale", [began(), launched(), wrote(True, 1), finished(), matched(epoch=1)]),
    "a write ended between": ("stale", [began(), wrote(True, 1, at=0.5), launched(epoch=1), wrote(False, 2), *HIT[1:2],
                                        matched(epoch=2)]),
    "another run wrote between": ("stale", [began(), began("q"), launched(), matched(epoch=2),
                                            wrote(True, 1, run="q"), wrote(False, 2, run="q")]),
    "a write went on all the time": ("stale", [began(), wrote(True, 1, at=0.5), launched(epoch=1), matched(epoch=1),
                                               wrote(False, 2, at=2.0)]),
    "a pattern was written": ("stale", [began(), launched(), wrote(True, 1, ["*2:b"]),
                                        matched(epoch=1, reads=["=c", "2:b"])]),
    "a pattern was read": ("stale", [began(), launched(), wrote(True, 1, ["=c", "2:b"]),
                                     matched(epoch=1, reads=["*2:b"])]),
    "launched after the end": ("closed", [began(), closed(0, 0, at=0.0), launched()]),
    "committed after the end": ("closed", [began(), *HIT[:3], closed(hits=0, at=2.0), committed()]),
    "closed twice": ("closed", [began(), closed(0, 0), closed(0, 0)]),
    "undecided at the end": ("closed", [began(), launched(), finished(), closed(hits=0)]),
    "too many at once": ("budget", [began(max_in_flight=1), launched("r:1"), discarded("r:1"), launched("r:2")]),
    "too many messages that broke": (
        "budget",
        [began(max_wasted_per_run=0), dataclasses.replace(launched(), stage="complete"), discarded()],
    ),
    "too many in a turn": ("budget", [began(max_per_turn=1), launched(), launched("r:2")]),
    "too many in a run": ("budget", [began(max_per_run=1), *LOSS[:-1], launched("r:2", turn="u", at=2.0)]),
    "too many in vain": ("budget", [began(max_wasted_per_run=0), *LOSS]),
    "in shadow": ("level", [dataclasses.replace(began(), level="shadow"), *HIT]),
    "launches lost": ("ledger", [began(), *HIT[:-1], closed(launched=2)]),
    "hits lost": ("ledger", [began(), *HIT[:-1], closed(hits=0)]),
    "epochs run backwards": ("order", [began(), launched(epoch=2), launched("r:2", epoch=1)]),
    "a write without an epoch of its own": ("order", [began(), launched(epoch=2), wrote(True, 2)]),
    "two writes with one epoch": ("order", [began(), began("q"), wrote(True, 1), wrote(True, 1, run="q")]),
    "no beginning": ("order", HIT),
    "two beginnings": ("order", [began(), began()]),
    "one partition in two worlds": ("partition", [began(), dataclasses.replace(began("q", "v"), at=1.0), closed(0, 0)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_history_is_not_called_wrong(name: str):
    """
    Neither in the order in which it happened, nor in any in which threads may have handed it out, nor as JSON.
    """
    records = numbered(*CORRECT[name])
    assert audit(records) == []
    assert audit(map(as_json, records)) == []
    for seed in range(5):
        random.Random(seed).shuffle(records)
        assert audit(records) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name: str):
    """
    Under its rule, in whatever order the records come.
    """
    rule, happened = BROKEN[name]
    records = numbered(*happened)
    assert rule in {violation.rule for violation in audit(records)}
    for seed in range(5):
        random.Random(seed).shuffle(records)
        assert rule in {violation.rule for violation in audit(records)}


def test_a_violation_says_what_contradicts_what():
    """
    Rule, run, speculation, record, and the other record.
    """
    (found,) = audit(numbered(*BROKEN["a write began between"][1]))
    assert (found.rule, found.run, found.id, found.record) == ("stale", "r", "r:1", 5)
    assert "record 3 began a write to it at 1" in found.text
    (found,) = audit(numbered(*BROKEN["of another partition"][1]))
    assert str(found).startswith("commit: record 5, r:1: it is of another run, r, and of another partition")


@pytest.mark.parametrize("at", [0.5, float("nan")])
def test_time_never_runs_backwards_inside_one_run(at: float):
    """
    A run lives in one process, whose clock only goes forward. Another run may be of another process.
    """
    records = numbered(began(), launched(), finished())
    assert audit([*records[:2], dataclasses.replace(records[2], at=at)])[0].rule == "order"
    assert audit([*records, dataclasses.replace(began("q", "v", "o"), at=0.5, number=1)]) == []


@pytest.mark.parametrize("number", [0, -1, 2])
def test_a_record_without_a_place_in_its_run_is_reported(number: int):
    """
    A number that was there before, or that no run gives.
    """
    records = [*numbered(began(), launched()), dataclasses.replace(finished(), number=number)]
    (found,) = audit(records)
    assert (found.rule, found.record) == ("order", 3)


def test_what_follows_a_gap_is_not_judged():
    """
    A record that is missing is one violation, not one for everything that it would have explained.
    """
    records = numbered(began(), *HIT)
    del records[1]
    (found,) = audit(records)
    assert (found.rule, found.record) == ("order", 2)
    assert "number 2 of its run is missing" in found.text


def test_no_event_is_bad_input():
    """
    What is no event cannot be judged.
    """
    with pytest.raises(BadLog, match="its kind is 'Nothing'"):
        audit([{"event": "Nothing"}])


def test_an_auditor_counts_what_it_sees():
    """
    For the line above the verdict.
    """
    auditor = Auditor()
    for event in numbered(began(), *HIT[:-1], launched("r:2", at=2.0), discarded("r:2"), closed(launched=2)):
        auditor.take(event)
    counted = {"records": 9, "runs": 1, "speculations": 2, "commits": 1, "discards": {"contradicted": 1}}
    assert (auditor.counts(), auditor.findings()) == (counted, [])


# -- histories of real sessions, corrupted -----------------------------------------------------------------------------


@cache
def real_history(seed: int) -> tuple[events.Event, ...]:
    """The records of a session driven at random to its end, in their order, with the writes of a run beside it."""
    chance = random.Random(seed)
    run = OneRun()
    run.open(chance.choice([None, *BOUNDS]), chance.randint(1, 5), chance.randint(1, 3))
    for _ in range(150):
        anything(run, chance)
    run.teardown()
    run.history()
    return (*run.log, *run.log_of_other)


Corrupt = Callable[[list[events.Event], random.Random], None]


def pick(records: list[Any], chance: random.Random, kind: type[events.Event], **facts: Any) -> int:
    found = [
        at
        for at, event in enumerate(records)
        if type(event) is kind and all(getattr(event, name) == value for name, value in facts.items())
    ]
    assume(found)
    return chance.choice(found)


def change(records: list[events.Event], index: int, /, **facts: Any) -> None:
    records[index] = dataclasses.replace(records[index], **facts)


def drop(records: list[events.Event], chance: random.Random) -> None:
    last = max(at for at, event in enumerate(records) if event.run == "r")
    assume(last > 0)
    del records[chance.randrange(last)]


def repeat(records: list[events.Event], chance: random.Random) -> None:
    records.append(chance.choice(records))


def set_the_clock_back(records: list[events.Event], chance: random.Random) -> None:
    run = [at for at, event in enumerate(records) if event.run == "r"]
    assume(len(run) > 1)
    change(records, chance.choice(run[1:]), at=records[0].at - 1)


def commit_what_was_discarded(records: list[Any], chance: random.Random) -> None:
    at, lost = pick(records, chance, events.Committed), pick(records, chance, events.Discarded)
    change(records, at, id=records[lost].id)


def commit_twice(records: list[Any], chance: random.Random) -> None:
    one, other = pick(records, chance, events.Committed), pick(records, chance, events.Committed)
    assume(records[one].id != records[other].id)
    change(records, one, id=records[other].id)


def use_for_two_calls(records: list[Any], chance: random.Random) -> None:
    hits = [at for at, event in enumerate(records) if type(event) is events.CallSettled and event.id is not None]
    assume(len(hits) > 1)
    one, other = chance.sample(hits, 2)
    change(records, one, id=records[other].id)


def take_from_another_run(records: list[Any], chance: random.Random) -> None:
    change(records, pick(records, chance, events.Committed), id="other:1")


def fail_what_was_committed(records: list[Any], chance: random.Random) -> None:
    at = pick(records, chance, events.Committed)
    change(records, pick(records, chance, events.Finished, id=records[at].id), ok=False)


def write_under_a_read(records: list[Any], chance: random.Random) -> None:
    hit = records[pick(records, chance, events.Matched)]
    start = records[pick(records, chance, events.Launched, id=hit.id)]
    assume(hit.reads)
    between = [
        at
        for at, event in enumerate(records)
        if isinstance(event, events.Wrote) and start.epoch < event.epoch <= hit.epoch
    ]
    assume(between)
    change(records, chance.choice(between), writes=hit.reads)


def spend_more_than_allowed(records: list[Any], chance: random.Random) -> None:
    launches = sum(isinstance(event, events.Launched) for event in records)
    assume(launches)
    change(records, 0, **{chance.choice(BOUNDS[:1] + BOUNDS[1:3]): 0})


def miscount(records: list[Any], chance: random.Random) -> None:
    at = pick(records, chance, events.RunClosed)
    name = chance.choice(["launched", "hits"])
    change(records, at, **{name: getattr(records[at], name) + 1})


def split_the_partition(records: list[Any], chance: random.Random) -> None:
    at = pick(records, chance, events.RunBegan, run="other")
    assume(records[0].at <= records[at].at < max(event.at for event in records if event.run == "r"))
    change(records, at, world="elsewhere")


CORRUPTIONS: list[tuple[Corrupt, set[str]]] = [
    (drop, {"order"}),
    (repeat, {"order"}),
    (set_the_clock_back, {"order"}),
    (commit_what_was_discarded, {"commit"}),
    (commit_twice, {"commit"}),
    (use_for_two_calls, {"commit"}),
    (take_from_another_run, {"commit"}),
    (fail_what_was_committed, {"commit"}),
    (write_under_a_read, {"stale"}),
    (spend_more_than_allowed, {"budget"}),
    (miscount, {"ledger"}),
    (split_the_partition, {"partition"}),
]


@pytest.mark.parametrize(("corrupt", "expected"), CORRUPTIONS, ids=[corrupt.__name__ for corrupt, _ in CORRUPTIONS])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(seed=st.integers(0, 40), chance=st.randoms(use_true_random=False))
def test_a_corrupted_record_is_found(corrupt: Corrupt, expected: set[str], seed: int, chance: random.Random):
    """
    One record of a real session's history that says something else contradicts the others.
    """
    records = list(real_history(seed))
    corrupt(records, chance)
    assert {violation.rule for violation in audit(records)} & expected


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 40), chance=st.randoms(use_true_random=False))
def test_a_history_that_breaks_off_is_correct(seed: int, chance: random.Random):
    """
    A log ends anywhere when a process is killed: what is there is judged, what is missing is not held against it.
    """
    records = list(real_history(seed))
    own = [event for event in records if event.run == "r"]
    rest = [event for event in records if event.run != "r"]
    assert audit([*own[: chance.randint(0, len(own))], *rest[: chance.randint(0, len(rest))]]) == []


# -- reads and writes at random, against tags in the clear -------------------------------------------------------------

some_tags = st.sets(st.sampled_from(["a", "ab", "abc", "b", "*", "a*", "ab*", "b*"]), min_size=1, max_size=2)
steps = st.lists(st.tuples(st.sampled_from(["launch", "launch", "match", "begin", "end"]), some_tags), max_size=25)


@settings(max_examples=400, deadline=None)
@given(steps=steps, chance=st.randoms(use_true_random=False))
def test_a_read_is_stale_exactly_if_a_write_overlapped_it(steps: list[tuple[str, set[str]]], chance: random.Random):
    """
    What the log's hashes say is what tags would have said: a write to it began or ended between launch and use, or went
    on all the time.
    """
    epochs, records, reads, writes = Epochs(), [began(**dict.fromkeys(BOUNDS, 99))], [], []
    history: list[tuple[str, set[str], int]] = []  # what happened, to what, to which read or write
    for kind, touched in steps:
        now = epochs.now
        if kind == "launch":
            epochs.marks.note(touched)
            records.append(launched(f"r:{len(reads)}", now, str(len(reads))))
            history.append((kind, touched, len(reads)))
            reads.append(touched)
        elif kind == "match" and reads:
            index = chance.randrange(len(reads))
            records.append(matched(f"r:{index}", now, epochs.marks.of(reads[index])))
            history.append((kind, reads[index], index))
        elif kind == "begin":
            epochs.begin_write(frozenset(touched))
            records.append(wrote(True, epochs.now, epochs.marks.of(touched)))
            history.append((kind, touched, len(writes)))
            writes.append(touched)
        elif kind == "end" and (open_ones := open_writes(history)):
            index = chance.choice(sorted(open_ones))
            index = min(other for other in open_ones if writes[other] == writes[index])  # nobody could tell them apart
            epochs.end_write(frozenset(writes[index]))
            records.append(wrote(False, epochs.now, epochs.marks.of(writes[index])))
            history.append((kind, writes[index], index))
    found = {violation.id for violation in audit(numbered(*records)) if violation.rule == "stale"}
    assert found == {f"r:{index}" for index in stale_reads(history)}


def open_writes(history: list[tuple[str, set[str], int]]) -> set[int]:
    begun = {index for kind, _, index in history if kind == "begin"}
    return begun - {index for kind, _, index in history if kind == "end"}


def stale_reads(history: list[tuple[str, set[str], int]]) -> set[int]:
    """The reads that were used although a write overlapped them; one that never ended may not have been under way."""
    stale = set()
    for used_at, (kind, tags_read, index) in enumerate(history):
        if kind != "match":
            continue
        launched_at = history.index(("launch", tags_read, index))
        between = {(kind, at) for kind, _, at in history[launched_at:used_at] if kind in ("begin", "end")}
        ended_later = {at for kind, _, at in history[used_at:] if kind == "end"}
        touched = {at for _, at in between} | (open_writes(history[:launched_at]) & ended_later)
        written = [tags for kind, tags, at in history if kind == "begin" and at in touched]
        if any(overlap(read, write) for tags in written for write in tags for read in tags_read):
            stale.add(index)
    return stale


# -- sessions with a bug in them ---------------------------------------------------------------------------------------


def told_by_sessions(limits: Limits | None = None, asks_at: float = 1.0) -> list[events.Event]:
    """Two reads run ahead, another run writes what they read, and both are asked for."""
    view = RunView("declared", None, Epochs())
    session, other = Session("r", view, limits or Limits()), Session("other", view, Limits())
    session.begin_turn("t", 0.0)
    calls = [Call("stock", {"id": 1}), Call("stock", {"id": 2})]
    session.predicted("t", [Proposal(Candidate(call, 0.9, "s"), call, READS["stock"], "thread") for call in calls], 0.0)
    for id in ("r:1", "r:2"):
        session.finish(id, Outcome("ok"), 1, 0.5, 0.0)
    tags, _ = other.begin_call(WRITES["refill"], calls[0], 0.6)
    other.end_call(tags, 0.7)
    for call in calls:
        answer, _ = session.resolve(call, READS["stock"], "thread", asks_at)
        hit = answer.speculation if isinstance(answer, Commit) else None
        session.settle("stock", hit=hit, joined=False, waited_s=0.0, tool_s=1.0, now=asks_at)
    session.close(asks_at)
    return [*session.take_events(), *other.take_events()]


@pytest.mark.parametrize(
    ("bug", "replacement", "settings", "rule"),
    [
        ("langgraph_speculate.core.launches.decide", lambda *args, **kwargs: ALLOW, {}, "stale"),
        ("langgraph_speculate.core.launches.decide", lambda *args, **kwargs: ALLOW, {"asks_at": 9.0}, "commit"),
        ("langgraph_speculate.core.resources.Epochs.changed", lambda *args, **kwargs: False, {}, "stale"),
        ("langgraph_speculate.core.resources.overlap", lambda left, right: left == right, {}, "stale"),
        ("langgraph_speculate.core.budget.excess", lambda *args, **kwargs: None, {"limits": 1}, "budget"),
        ("langgraph_speculate.core.session.Session._drop", lambda *args: [], {}, "closed"),
    ],
)
def test_a_bug_in_the_core_shows_in_its_history(
    monkeypatch: pytest.MonkeyPatch, bug: str, replacement: Any, settings: dict[str, Any], rule: str
):
    """
    The audit does not ask the code that it checks: what a broken core writes down gives it away.
    """
    if "limits" in settings:
        settings = {"limits": Limits(max_in_flight=settings["limits"])}
    assert audit(told_by_sessions(**settings)) == []
    monkeypatch.setattr(bug, replacement)
    assert rule in {violation.rule for violation in audit(told_by_sessions(**settings))}
