"""Mining: what recorded runs teach goes to a store, once, and is shown in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.cli import main
from langgraph_speculate.core import History
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.predict.words import patterns_in
from langgraph_speculate.traces import Run, mine
from tests.commands import command as run_command


def _run(number: int, orders: int = 2) -> dict[str, Any]:
    """A support run: who it is, which orders there are, and each of them."""
    user, ids = f"user_{number:03}", [f"W{number:02}{order}" for order in range(orders)]
    asks = [("find_user", {"user_id": user, "view": "short"}, {"id": user, "orders": ids})]
    asks += [("get_order", {"order_id": one}, {"id": one, "state": "sent"}) for one in ids]
    events: list[dict[str, Any]] = [{"role": "user", "content": f"I am {user}"}]
    for at, (name, args, result) in enumerate(asks):
        call = {"id": f"c{at}", "name": name, "args": args}
        events += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{at}", "content": json.dumps(result)},
        ]
    return {"id": f"run-{number}", "task_id": f"task-{number}", "events": [*events, {"role": "assistant"}]}


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(_run(number)) + "\n" for number in range(20)))
    return path


def _json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments] + ["--json"])
    assert left.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_a_graph_that_was_never_run_knows_what_was_mined(traces: Path, tmp_path: Path, capsys):
    """
    A user who was never seen is looked up under the right id, and the orders are walked.
    """
    path = tmp_path / "patterns.db"
    mined = _json(capsys, "mine", traces, "-o", path)
    assert (mined["runs"], mined["calls"], mined["known"]) == (20, 60, 0)
    store, predictor = SqlitePatterns(path), default_predictor()
    predictor.install("", predictor.prepare(store.load("")))
    (history, calls), (later, orders), *_ = Run("new", "new", _run(777)["events"]).decisions()
    assert predictor.predict(history, k=1)[0].call == calls[0]
    assert predictor.predict(later, k=1)[0].call == orders[0]


def test_runs_are_learned_once(traces: Path, tmp_path: Path, capsys):
    """
    Mining again, with new runs among the old, counts only the new; the result is that of mining all at once.
    """
    again, once = tmp_path / "again.db", tmp_path / "once.db"
    _json(capsys, "mine", traces, "-o", again)
    with traces.open("a") as file:
        file.write(json.dumps(_run(20)) + "\n")
    assert _json(capsys, "mine", traces, traces, "-o", again)["known"] == 20
    _json(capsys, "mine", traces, "-o", once)
    for key in [("shape", "get_order", "order_id"), ("next", "^\x1fuser#", "find_user")]:
        assert SqlitePatterns(again).load("")[key] == SqlitePatterns(once).load("")[key]


def _runs(count: int, *, stops: bool = False) -> Iterator[Run]:
    """So many runs of a task each; one that *stops* is interrupted after them."""
    for number in range(count):
        yield Run(f"r{number}", f"t{number}", _run(number)["events"])
    if stops:
        raise KeyboardInterrupt


def test_mining_that_is_stopped_goes_on_where_it_was(tmp_path: Path):
    """
    What was learned before is in the store, with the runs it was learned from.
    """
    store = SqlitePatterns(tmp_path / "patterns.db")
    with pytest.raises(KeyboardInterrupt):
        mine(_runs(430, stops=True), store)
    assert store.load("")[("shape", "find_user", "user_id\x1fview")] == (400.0, 0.0)
    rest = mine(_runs(450), store)
    assert (rest.runs, rest.known) == (50, 400)
    assert store.load("")[("shape", "find_user", "user_id\x1fview")] == (450.0, 0.0)


def test_several_processes_learn_what_one_does(tmp_path: Path):
    """
    Each run once, with the same counts; values of single tasks, and of private tools, are written by none of them.
    """
    runs = list(_runs(450))
    one, several = SqlitePatterns(tmp_path / "one.db"), SqlitePatterns(tmp_path / "several.db")
    alone, together = mine(runs, one), mine(runs, several, jobs=2)
    again = mine(runs, several, jobs=2, private=["find_*"])

    assert (together.runs, together.calls, together.known) == (alone.runs, alone.calls, 0) == (450, alone.calls, 0)
    assert (again.runs, again.known) == (0, 450)
    for kind in ("shape", "next", "run"):
        assert _of(several, kind) == _of(one, kind)
    assert {key[4] for key in _of(several, "value")} == {key[4] for key in _of(one, "value")}


def test_several_processes_that_are_stopped_leave_whole_runs(tmp_path: Path):
    """
    A store has a run's mark if, and only if, it has what was learned from it; so nothing is lost or counted twice.
    """
    store = SqlitePatterns(tmp_path / "patterns.db")
    with pytest.raises(KeyboardInterrupt):
        mine(_runs(880, stops=True), store, jobs=2)
    marked = len(_of(store, "run"))
    assert store.load("").get(("shape", "find_user", "user_id\x1fview"), (0.0, 0.0)) == (marked, 0.0)
    mine(_runs(900), store, jobs=2)
    assert store.load("")[("shape", "find_user", "user_id\x1fview")] == (900.0, 0.0)


def test_fewer_than_one_process_is_an_error(tmp_path: Path):
    """
    One clear one.
    """
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        mine([], SqlitePatterns(":memory:"), jobs=0)


def _of(store: SqlitePatterns, kind: str) -> dict[Any, Any]:
    return {key: pair for key, pair in store.load("").items() if key[0] == kind}


def test_only_values_of_several_tasks_are_written(traces: Path, tmp_path: Path, capsys):
    """
    `short` is everybody's; a user's id is nobody else's, and what a private tool is called with is not told at all.
    """
    for private, known in (([], {'"short"'}), (["find_*"], set())):
        path = tmp_path / f"{len(private)}.db"
        _json(capsys, "mine", traces, "-o", path, *(f"--private={name}" for name in private))
        sums = SqlitePatterns(path).load("")
        assert {key[4] for key in sums if key[0] == "value" and key[4]} == known
        assert b"user_0" not in path.read_bytes()


def test_runs_of_one_task_are_no_evidence(tmp_path: Path):
    store = SqlitePatterns(tmp_path / "patterns.db")
    mine((Run(f"r{number}", "one task", _run(3)["events"]) for number in range(20)), store)
    assert not [key for key in store.load("") if key[0] == "value" and key[4]]


def test_patterns_are_told_in_words(traces: Path, tmp_path: Path, capsys):
    """
    A person understands them: what comes after what, where arguments come from, how often, of how many.
    """
    path = tmp_path / "patterns.db"
    _json(capsys, "mine", traces, "-o", path)
    told = {pattern.text: pattern for pattern in patterns_in(SqlitePatterns(path).load(""))}
    first = told["after find_user comes get_order"]
    assert (first.probability, first.support) == (1.0, 20)
    near = "of those near what is spoken of"  # the user named himself, and his orders are wanted
    walked = told[f"get_order(order_id) is the first unused orders.* in the result of find_user, {near}"]
    assert walked.probability == 1.0
    assert "find_user(user_id) is the first unused identifier that the user said" in told
    assert 'find_user(view) is "short"' in told
    shown = _json(capsys, "show", path, "--tool", "get_order", "--top", 2)
    assert [pattern["tool"] for pattern in shown["patterns"]] == ["get_order"] * 2
    assert shown["mined_runs"] == 20
    with pytest.raises(SystemExit):
        main(["show", str(path)])
    assert "after find_user comes get_order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "{folder}"], "{folder}: is a folder; name the file in it that mine, or a graph, has written"),
        (["replay", "{folder}/runs.jsonl", "--patterns", "{folder}"], "{folder}: is a folder"),
        (["show", "{store}", "--tool", "get_ordr"], "{store} knows no such tool; did you mean 'get_order'?"),
        (
            ["show", "{store}", "--tool", "nope"],
            "knows no such tool; there are find_user, get_order",
        ),
    ],
)
def test_what_there_is_not_is_told_as_that(arguments, told, traces: Path, tmp_path: Path, capsys):
    """
    Not as a file that is not there, or as patterns that were seen too seldom.
    """
    names = {"store": tmp_path / "patterns.db", "folder": tmp_path}
    _json(capsys, "mine", traces, "-o", names["store"])
    code, out, err = run_command(capsys, *(argument.format(**names) for argument in arguments))
    assert (code, out) == (2, "")
    assert told.format(**names) in err.splitlines()[-1]


def test_a_tool_that_was_seen_too_seldom_has_no_patterns(tmp_path: Path, capsys):
    """
    But is known.
    """
    (tmp_path / "one.jsonl").write_text(json.dumps(_run(1)) + "\n")
    _json(capsys, "mine", tmp_path / "one.jsonl", "-o", tmp_path / "patterns.db")
    assert _json(capsys, "show", tmp_path / "patterns.db", "--tool", "get_order")["patterns"] == []


@pytest.mark.parametrize("command", ["mine", "show"])
@pytest.mark.parametrize("kind", ["text", "other database", "folder"])
def test_a_file_that_is_no_store_is_an_error_and_stays(command: str, kind: str, traces: Path, tmp_path: Path, capsys):
    """
    One line, exit code 2, and nothing is moved aside or written.
    """
    import sqlite3

    path = tmp_path / "precious"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("my only copy\n" * 500)
    else:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE checkpoints (id)")
    before = path.read_bytes() if path.is_file() else b""
    arguments = ["mine", str(traces), "-o", str(path)] if command == "mine" else ["show", str(path)]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: ")
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert {file.name for file in tmp_path.iterdir()} == {"precious", "runs.jsonl"}


def test_lines_that_cannot_be_read_are_told_and_the_rest_is_mined(traces: Path, tmp_path: Path, capsys):
    with traces.open("a") as file:
        file.write("no JSON\n")
    mined = _json(capsys, "mine", traces, "-o", tmp_path / "patterns.db")
    assert mined["runs"] == 20
    assert mined["skipped"]["count"] == 1


def test_histories_of_one_run_have_its_events():
    """
    What mining learns from is what a live run would have seen.
    """
    for history, _ in Run("r", "t", _run(1)["events"]).decisions():
        assert isinstance(history, History)
        assert history.origin.thread == "r"
