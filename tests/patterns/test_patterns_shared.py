"""Patterns that replicas share through a LangGraph store: each process counts once, and those gone take no room."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from langgraph_speculate.core.sums import Sums
from langgraph_speculate.patterns import SharedPatterns, shared
from langgraph_speculate.patterns.folds import DAY_S, FINAL, Fold, latest_fold

TOOLS = 30
ONE: Sums = {("next", f"tool_{number}"): (1.0, 0.5) for number in range(TOOLS)}
SPACE = ("speculate", "patterns", "shared")


class Clock:
    """Days, told in seconds."""

    def __init__(self) -> None:
        self.day = 20_000.5

    def __call__(self) -> float:
        return self.day * DAY_S


class Watched(InMemoryStore):
    """Has something happen before one of its operations."""

    at: Callable[[str], None] | None = None

    @contextlib.contextmanager
    def before(self, operation: int, happens: Callable[[], object], *verbs: str) -> Iterator[list[str]]:
        """Have something happen before the operation of that number, of these verbs; tells what was reached."""
        reached, count = list[str](), itertools.count()

        def at(verb: str) -> None:
            if (not verbs or verb in verbs) and next(count) == operation:
                reached.append(verb)
                happens()

        self.at = at
        yield reached
        self.at = None

    def put(self, *args: Any, **kwargs: Any) -> None:
        self._told("put")
        super().put(*args, **kwargs)

    def search(self, *args: Any, **kwargs: Any) -> Any:
        self._told("search")
        return super().search(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        self._told("delete")
        super().delete(*args, **kwargs)

    def _told(self, verb: str) -> None:
        if self.at is not None:
            self.at(verb)


class Locked(InMemoryStore):
    """One operation at a time, as in a store of its own process."""

    def __init__(self) -> None:
        super().__init__()
        self._one = threading.Lock()

    def batch(self, ops: Any) -> Any:
        with self._one:
            return super().batch(ops)


def items(store: InMemoryStore) -> int:
    return len(InMemoryStore.search(store, SPACE, limit=1_000_000))


def started(store: InMemoryStore, clock: Clock) -> SharedPatterns:
    return SharedPatterns(store, clock=clock)


def counted(sums: Sums) -> set[float]:
    assert not sums or len(sums) == TOOLS
    return {hits for hits, _ in sums.values()}


def of_days(store: InMemoryStore, clock: Clock, days: int, starts: int = 3) -> int:
    """Processes that start, count each tool once, and are gone; how many there were."""
    for _ in range(days):
        for _ in range(starts):
            started(store, clock).add("", ONE)
        clock.day += 1
    return days * starts


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_WORTH_FOLDING", 40)


def test_processes_that_come_and_go_for_years_are_all_counted_in_a_store_that_stays_small():
    """
    Each start is a process of its own name; whoever loads folds what those of former days have left.
    """
    store, clock, starts, most = InMemoryStore(), Clock(), 0, 0
    for _ in range(300):
        starts += of_days(store, clock, days=1)
        assert counted(started(store, clock).load("")) == {starts}
        most = max(most, items(store))
    assert most < 600
    assert started(store, clock).load("")[("next", "tool_3")] == (starts, starts / 2)


def test_a_process_that_goes_on_for_weeks_counts_once():
    """
    It takes a new name every day, so that what it wrote under the former one is final.
    """
    store, clock = InMemoryStore(), Clock()
    lasting, starts = started(store, clock), 0
    for day in range(1, 40):
        lasting.add("", ONE)
        lasting.add("", ONE)
        starts += of_days(store, clock, days=1)
        assert counted(lasting.load("")) == {starts + 2 * day}


@pytest.mark.parametrize("fails", [False, True], ids=["several", "failing"])
def test_what_is_folded_by_several_at_once_counts_once(fails: bool):
    """
    Whatever one of them is about to do, another begins and ends; and whichever operation fails, the next one knows all.
    """
    for operation in itertools.count():
        store, clock = Watched(), Clock()
        starts = of_days(store, clock, days=8)

        def beside(store: Watched = store, clock: Clock = clock, starts: int = starts) -> None:
            if fails:
                raise ConnectionError("gone")
            assert counted(started(store, clock).load("")) == {starts}

        with store.before(operation, beside) as reached, contextlib.suppress(ConnectionError):
            assert counted(started(store, clock).load("")) == {starts}
        for _ in range(4):
            clock.day += 1
            assert counted(started(store, clock).load("")) == {starts}
        assert items(store) < starts * 16
        if not reached:
            assert operation > 20
            return


@pytest.mark.parametrize("seed", range(3))
def test_replicas_that_start_load_and_fold_beside_each_other_lose_nothing(seed: int):
    """
    Sixteen threads in one store, over weeks.
    """
    store, clock, draw = Locked(), Clock(), Random(seed)
    starts = [0]
    lock = threading.Lock()

    def replica() -> None:
        mine = started(store, clock)
        mine.load("")
        mine.add("", ONE)
        with lock:
            starts[0] += 1
        mine.load("")

    for _ in range(15):
        threads = [threading.Thread(target=replica) for _ in range(draw.randrange(2, 16))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.day += draw.choice([0.2, 1, 2])
        assert counted(started(store, clock).load("")) == {starts[0]}


def test_what_is_forgotten_while_it_is_folded_is_gone():
    """
    Whoever folds has read it already, and must not write it down again.
    """
    for operation in itertools.count():
        store, clock = Watched(), Clock()
        of_days(store, clock, days=8)
        other = started(store, clock)
        with store.before(operation, functools.partial(other.forget, "")) as reached:
            started(store, clock).load("")
        if not reached:
            return
        assert items(store) == 0
        assert started(store, clock).load("") == {}


def test_forgetting_goes_on_until_nothing_is_left():
    """
    Somebody finishes a fold while it is forgotten.
    """
    for operation in (0, 1, 7, 100, 300):
        store, clock = Watched(), Clock()
        of_days(store, clock, days=8)
        other = started(store, clock)
        with store.before(operation, functools.partial(other.load, ""), "delete") as reached:
            assert started(store, clock).forget("") > 0
        assert reached
        assert items(store) == 0


def test_what_a_store_does_not_take_is_written_under_the_old_name_for_a_day():
    """
    Nothing is lost at midnight.
    """
    store, clock = Watched(), Clock()
    lasting = started(store, clock)

    def gone() -> None:
        raise ConnectionError("gone")

    with store.before(0, gone, "put"):
        lasting.add("", ONE)
    clock.day += 1
    lasting.add("", ONE)
    assert counted(lasting.load("")) == {2.0}


@pytest.mark.parametrize("junk", [None, {}, {"day": "x"}, {"day": 1e9}, {"day": True}, {"day": 19_000, "of": 1}])
def test_what_is_no_fold_is_passed_over(junk: Any):
    """
    Others can write there too.
    """
    assert latest_fold([junk], 20_000) is None
    good = [value for _, value in Fold(18_000, 1.0, ONE).parts()]
    found = latest_fold([junk, *good], 20_000)
    assert found is not None
    assert found.sums == ONE
    assert latest_fold([value for _, value in Fold(20_000, 1.0, ONE).parts()], 20_000 + FINAL - 1) is None
