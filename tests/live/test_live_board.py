"""What the live page is told: the newest state within bounds, and only what has changed."""

from __future__ import annotations

from typing import Any

import orjson

from langgraph_speculate.core import events
from langgraph_speculate.live.board import Board


class Script:
    """Events of one run, numbered, a tenth of a second apart."""

    def __init__(self, board: Board, run: str = "r", graph: str = "clerk") -> None:
        self._board, self._run, self._number = board, run, 0
        budgets = dict.fromkeys(("max_in_flight", "max_per_turn", "max_per_run", "max_wasted_per_run"), 9)
        self.tell(events.RunBegan, partition="", world="", wall=1000.0, graph=graph, **budgets)

    def made(self, kind: type[events.Event], **facts: Any) -> events.Event:
        self._number += 1
        return kind(run=self._run, at=50.0 + self._number / 10, number=self._number, **facts)

    def tell(self, kind: type[events.Event], **facts: Any) -> None:
        self._board(self.made(kind, **facts))

    def guess(self, id: str, tool: str = "look") -> None:
        self.tell(events.Launched, turn="t", id=id, tool=tool, probability=0.5, source="x")

    def settle(self, id: str | None, tool: str = "look") -> None:
        self.tell(events.CallSettled, tool=tool, id=id, joined=False, waited_s=0.05, tool_s=0.35)


def told_by(board: Board, since: int = 0) -> dict[str, Any]:
    """What a reader is sent."""
    return dict(orjson.loads(orjson.dumps(board.changes(since))))


def shown(board: Board, since: int = 0) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["name"], row["outcome"]) for row in reversed(told_by(board, since)["rows"])]


def test_a_run_becomes_rows_with_their_outcomes():
    """
    A model call, a guess that was taken, one in vain, and the real call.
    """
    board = Board()
    run = Script(board)
    run.tell(events.TurnBegan, turn="t", model="scripted")
    run.guess("a")
    run.guess("b", "find")
    run.tell(events.Finished, id="a", tool="look", seconds=0.1, ok=True)
    run.tell(events.TurnEnded, turn="t", calls=("look",), foreseen=1)
    run.tell(events.Discarded, id="b", tool="find", reason="contradicted")
    run.tell(events.Committed, id="a", tool="look")
    run.settle("a")
    run.tell(events.RunClosed, launched=2, hits=1, hidden_s=0.3)
    told = told_by(board)
    assert sorted(shown(board)) == [
        ("call", "look", "ready"),
        ("guess", "find", "contradicted"),
        ("guess", "look", "taken"),
        ("model", "scripted", "asked for 1 call"),
    ]
    taken = next(row for row in told["rows"] if row["id"] == "a")
    assert (round(taken["began"], 3), round(taken["ended"], 3)) == (0.2, 0.4)
    (line,) = told["runs"]
    assert (line["id"], line["graph"], line["wall"], round(line["ended"], 3)) == ("r", "clerk", 1000.0, 0.9)
    assert (told["totals"]["hits"], told["totals"]["in_flight"], told["totals"]["wasted"]) == (1, 0, 1)
    assert [tool["name"] for tool in told["tools"]] == ["look", "find"]


def test_model_calls_that_start_ahead_are_rows_too():
    """
    One that was used, with what it saved, and one that was not, with the reason.
    """
    board = Board()
    run = Script(board)
    for id in ("r:p1", "r:p2"):
        run.tell(events.PreviewBegan, preview=id, model="scripted", probability=0.9, tools=("look",), tokens=9)
    run.tell(events.PreviewUsed, preview="r:p1", model="scripted", joined=True, hidden_s=0.2)
    run.tell(events.PreviewWasted, preview="r:p2", model="scripted", reason="result", tokens=9, cost=0.0)

    assert sorted(shown(board)) == [("preview", "scripted", "result"), ("preview", "scripted", "taken")]
    assert sorted(row["saved_s"] or 0 for row in told_by(board)["rows"]) == [0, 0.2]


def test_a_reader_is_told_what_has_changed_since():
    """
    A row that has ended is told once more, the others are not.
    """
    board = Board()
    run = Script(board)
    run.guess("a")
    run.guess("b")
    version = told_by(board)["version"]
    run.tell(events.Discarded, id="a", tool="look", reason="expired")
    assert shown(board, version) == [("guess", "look", "expired")]
    assert shown(board, board.version) == []


def test_events_that_come_in_another_order_draw_the_same():
    """
    A body may be told to have finished before it is told to have begun.
    """
    board = Board()
    run = Script(board)
    launched = run.made(events.Launched, turn="t", id="a", tool="look", probability=0.5, source="x")
    board(run.made(events.Finished, id="a", tool="look", seconds=0.1, ok=True))
    board(launched)
    assert [(row["id"], row["ended"] is not None) for row in told_by(board)["rows"]] == [("a", True)]


def test_the_oldest_run_goes_with_its_rows():
    """
    A server that runs for weeks keeps the last runs.
    """
    board = Board()
    for number in range(50):
        Script(board, f"r{number}").guess(f"g{number}")
    told = told_by(board)
    assert [run["id"] for run in told["runs"]] == [f"r{number}" for number in range(30, 50)]
    assert {row["run"] for row in told["rows"]} == {run["id"] for run in told["runs"]}
    assert told["totals"]["launched"] == 50


def test_a_long_run_keeps_its_beginning_and_counts_the_rest():
    """
    One run cannot fill the memory, or a reader's line.
    """
    board = Board()
    run = Script(board)
    for number in range(1000):
        run.guess(f"g{number}")
    told = told_by(board)
    assert len(told["rows"]) == 300
    assert told["runs"][0]["left_out"] == 700


def test_endless_names_are_cut():
    """
    A name is whatever somebody's server says.
    """
    board = Board()
    run = Script(board, graph="g" * 10_000)
    run.guess("a", "t" * 10_000)
    run.settle("a", "t" * 10_000)
    told = told_by(board)
    names = [told["runs"][0]["graph"], told["rows"][0]["name"], told["tools"][0]["name"]]
    assert [len(name) for name in names] == [81, 81, 81]


def test_names_that_somebody_made_up_take_no_room():
    """
    Predictors and models name tools that there are not, and ever others.
    """
    board = Board()
    run = Script(board)
    for number in range(500):
        run.tell(events.Predicted, turn="t", candidates=((f"made-up-{number}", 0.5, "x"),))
        run.tell(events.Denied, turn="t", tool=f"denied-{number}", reason="unknown_tool", detail="")
    run.settle(None)
    assert [tool["name"] for tool in told_by(board)["tools"]] == ["look"]
