"""The measurement: what counts as a read, how runs are split, when predictions are made."""

import json

import pytest

from benchmarks import ablation
from benchmarks.predictability import evaluate, main
from benchmarks.traces import Run, is_read_only, read, split
from langgraph_speculate.core import Call, Candidate


def line(number, task):
    events = [
        {"role": "user", "content": f"Order A{number}000?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "name": "get", "args": {"id": f"A{number}000"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "sent"},
        {"role": "assistant", "content": "It was sent.", "tool_calls": []},
    ]
    return {"id": f"run-{number}", "task_id": task, "events": events}


@pytest.mark.parametrize(
    ("call", "reads"),
    [
        (Call("get_order", {}), True),
        (Call("web_search", {}), True),
        (Call("cancel_order", {}), False),
        (Call("execute_sql", {"query": " select 1"}), True),
        (Call("execute_sql", {"query": "DELETE FROM t"}), False),
        (Call("bash", {"command": "cat a.txt | grep x 2>/dev/null"}), True),
        (Call("bash", {"command": "cat a.txt && rm a.txt"}), False),
        (Call("bash", {"command": "find . -delete"}), False),
        (Call("bash", {"command": "echo $(reboot)"}), False),
        (Call("python", {"code": "1"}), False),
    ],
)
def test_reads_are_told_from_writes(call, reads):
    """
    By name, by SQL verb, by every command of a shell line; code is a write.
    """
    assert is_read_only(call) is reads


def test_runs_of_one_task_stay_together():
    """
    No task is on both sides of a split; by run, runs are what is split.
    """
    runs = [Run(f"r{number}", f"t{number // 4}", ()) for number in range(40)]
    for seed in range(5):
        train, test = split(runs, seed)
        assert not {run.task for run in train} & {run.task for run in test}
        assert len(train) == 28
        assert len(train) + len(test) == 40
        assert len(split(runs, seed, by="run")[0]) == 28


def test_a_prediction_never_sees_what_it_predicts():
    """
    Every decision point is predicted before it is learned, and its history ends before it.
    """

    class Spy:
        def __init__(self):
            self.log = []

        def predict(self, history, *, k):
            self.log.append(("predict", len(history.events)))
            return [Candidate(Call("get", {"id": "A1000"}), 0.6)]

        def learn(self, history, calls):
            self.log.append(("learn", len(history.events), len(calls)))

    run = line(1, "t")
    spy = Spy()
    score = evaluate(spy, [], [Run(run["id"], run["task_id"], run["events"])])
    assert spy.log == [("predict", 1), ("learn", 1, 1), ("predict", 3), ("learn", 3, 0)]
    assert score.exact == {1: 1, 3: 1, 10: 1}
    assert score.figures()["waste≥0.5"] == 1.0


def test_it_runs_from_the_command_line(tmp_path, capsys):
    """
    One JSON object holds the figures of every predictor; a bad file is one clear line and exit code 2.
    """
    traces = tmp_path / "shop.jsonl"
    traces.write_text("".join(json.dumps(line(number, str(number))) + "\n" for number in range(1, 10)))
    assert len(read([traces])) == 9
    assert main([str(traces), "--seeds", "2", "--json"]) == 0
    figures = {row["predictor"]: row for row in json.loads(capsys.readouterr().out)["sets"]}
    assert figures["default"]["RO@1"] == 1.0
    assert figures["never"]["RO@10"] == 0.0
    traces.write_text("{}\n")
    assert main([str(traces)]) == 2
    assert "line 1" in capsys.readouterr().err


def test_the_ablation_tells_what_each_part_is_worth(tmp_path, capsys):
    """
    Without the part that finds the values nothing is hit, and afterwards the part is back.
    """
    traces = tmp_path / "shop.jsonl"
    traces.write_text("".join(json.dumps(line(number, str(number))) + "\n" for number in range(1, 10)))
    options = ["--seeds", "1", "--without", "shapes in user text", "--without", "labels"]
    for _ in range(2):
        assert ablation.main([str(traces), *options, "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["sets"]
        assert (row["RO@1"], row["RO@3"]) == (1.0, 1.0)
        assert row["without"] == {"shapes in user text": [0.0, 0.0], "labels": [1.0, 1.0]}
    assert ablation.main([str(traces), *options]) == 0
    assert "without labels" in capsys.readouterr().out
    assert ablation.main([str(tmp_path / "none.jsonl")]) == 2
    assert "error" in capsys.readouterr().err


def test_the_ablation_skips_without_recordings(tmp_path, capsys, monkeypatch):
    """
    Where there are no recordings it says so, and that is no failure.
    """
    monkeypatch.setattr(ablation, "FOLDER", tmp_path)
    assert ablation.main([]) == 0
    assert "skipped: no recordings" in capsys.readouterr().err
