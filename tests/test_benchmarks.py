"""The measurements measure what they say: scripts and worlds are those of the recording, figures add up, errors are
clear. Nothing here asserts a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from benchmarks import learning, overhead, recorded, support, three_turns
from benchmarks.script import ModelPace, Player, script_of, split_by_effect
from benchmarks.surroundings import undisturbed
from benchmarks.traces import FOLDER, Run, read
from benchmarks.variants import EAGER, EAGER_INSTALLED, ORACLE, OURS, PLAIN, WRONG, Frozen
from benchmarks.world import World
from langgraph_speculate.core import Call, History
from langgraph_speculate.demo.loopback import ApiError, LoopbackServer
from langgraph_speculate.predict import LastFollower

QUICK = ["--model-pace", "0.03", "--tool-latency", "0.02", "--quiet"]
READING = {"get_order": True, "cancel_order": False}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: str, *calls: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    made = [{"id": call_id, "name": name, "args": args} for call_id, name, args in calls]
    return {"role": "assistant", "content": text, "tool_calls": made}


def answers(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def conversation(number: int) -> list[dict[str, Any]]:
    """Look at an order, cancel it, look again; the order is not what it was."""
    order = {"order_id": f"SO-{number}"}
    return [
        user(f"Cancel order SO-{number}."),
        says("", ("c1", "get_order", order)),
        answers("c1", "open"),
        says("Shall I?"),
        user("Yes."),
        says("", ("c2", "cancel_order", order)),
        answers("c2", "done"),
        says("", ("c3", "get_order", order)),
        answers("c3", "cancelled"),
        says("It is cancelled."),
    ]


def write(path: Path, conversations: Sequence[list[dict[str, Any]]]) -> Path:
    lines = [
        json.dumps({"id": f"run-{number}", "task_id": f"task-{number}", "events": events})
        for number, events in enumerate(conversations)
    ]
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "shop.jsonl", [conversation(number) for number in range(7)])


def played(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> dict[str, Any]:
    assert recorded.main([str(path), *QUICK, "--json", *options]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


# -- scripts ----------------------------------------------------------------------------------------------------------


def test_a_turn_begins_where_the_user_speaks():
    """Each invocation of the agent gets what the user said since the model's last answer."""
    script = script_of(Run("r", "t", [user("a"), user("b"), says("c"), user("d"), says("e"), user("f")]))
    assert script is not None
    assert [[event["content"] for event in turn] for turn in script.turns] == [["a", "b"], ["d"]]
    assert [step.text for step in script.steps] == ["c", "e"]


def test_a_greeting_is_given_and_not_played():
    """What the model said before the user did is part of the first input, and takes no time."""
    script = script_of(Run("r", "t", [says("hello"), user("a"), says("b")]))
    assert script is not None
    paced = ModelPace.parse("0.5").paced(script, 0)
    assert [message.type for message in paced.inputs(0, "0r")] == ["ai", "human"]
    assert [step.seconds for step in paced.steps] == [0.0, 0.5]


def test_a_run_cut_off_after_a_call_ends_in_silence():
    """An agent always goes on after a tool, so where the recording stops the model says nothing, at once."""
    script = script_of(Run("r", "t", [user("a"), says("", ("1", "get_order", {})), answers("1", "open")]))
    assert script is not None
    paced = ModelPace.parse("0.5").paced(script, 0)
    assert [(step.text, step.seconds) for step in paced.steps] == [("", 0.5), ("", 0.0)]


def test_a_model_that_speaks_twice_is_invoked_twice():
    """Two answers in a row are two invocations, the second with nothing new."""
    script = script_of(Run("r", "t", [user("a"), says("b"), says("c")]))
    assert script is not None
    assert [len(turn) for turn in script.turns] == [1, 0]


def test_an_id_used_twice_answers_the_latest_call():
    """Some models repeat call ids within a run: an answer belongs to the latest call of its id."""
    events = [
        user("a"),
        says("", ("1", "get_order", {"order_id": 1})),
        answers("1", "first"),
        says("", ("1", "get_order", {"order_id": 2})),
        answers("1", "second"),
    ]
    script = script_of(Run("r", "t", events))
    assert script is not None
    assert [call.result for step in script.steps for call in step.calls] == ["first", "second"]


def test_a_run_that_opens_with_a_call_cannot_be_played():
    """There is nothing to invoke the agent with."""
    assert script_of(Run("r", "t", [says("", ("1", "get_order", {})), answers("1", "open")])) is None


def test_a_tool_whose_commands_decide_becomes_two():
    """A shell is a reading and a writing tool, told apart by what the recorded command does."""
    events = [user("a"), says("", ("1", "bash", {"command": "ls"}), ("2", "bash", {"command": "rm x"}))]
    runs, both = split_by_effect([Run("r", "t", events)])
    assert both == ["bash"]
    assert [call["name"] for call in runs[0].events[1]["tool_calls"]] == ["bash_reading", "bash_writing"]


def test_the_player_is_told_by_the_messages_where_it_is():
    """The user's name says which run, the number of the model's messages how far; anything else is an error."""
    script = script_of(Run("r", "t", [user("a"), says("b"), user("c"), says("d")]))
    assert script is not None
    player = Player({"r": script})
    asked = [{"role": "user", "name": "3r", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert player(asked, []).text == "d"
    with pytest.raises(ApiError, match="nothing recorded"):
        player([{"role": "user", "name": "3other", "content": "a"}], [])


def test_a_long_message_is_streamed_in_few_pieces():
    """Reading thousands of pieces would take the client longer than the model's step; nothing of it is lost."""
    script = script_of(Run("r", "t", [user("a"), says("b" * 10_000)]))
    assert script is not None
    with undisturbed(), LoopbackServer(Player({"r": script})) as server:
        model = ChatOpenAI(model="recorded", base_url=server.base_url, api_key="none")
        pieces = [chunk.text for chunk in model.stream(script.inputs(0, "0r")) if chunk.text]
    assert len(pieces) < 50
    assert "".join(pieces) == "b" * 10_000


@pytest.mark.parametrize("text", ["fast", "lognormal", "lognormal:x", "-1", "nan", "fixed:inf"])
def test_a_pace_that_means_nothing_is_refused(text: str):
    """The message says what a pace looks like."""
    with pytest.raises(ValueError, match="seconds, lognormal:SECONDS or recorded"):
        ModelPace.parse(text)


# -- worlds -----------------------------------------------------------------------------------------------------------


def test_a_read_is_answered_from_the_state_that_writes_made():
    """The same call has another answer after a write, and a result from before it would show."""
    script = script_of(Run("r", "t", conversation(1)))
    assert script is not None
    world = World(script, READING, 0.0)
    look, cancel = Call("get_order", {"order_id": "SO-1"}), Call("cancel_order", {"order_id": "SO-1"})
    said = [world.end(world.begin(call)) for call in (look, look, cancel, look)]
    assert said == ["open", "open", "done", "cancelled"]
    assert world.writes == [cancel.key]


def test_a_call_that_was_never_recorded_gets_a_placeholder():
    """A wrong guess is answered with something that no recording holds."""
    script = script_of(Run("r", "t", conversation(1)))
    assert script is not None
    world = World(script, READING, 0.0)
    assert "not recorded" in world.end(world.begin(Call("get_order", {"order_id": "SO-9"})))


# -- benchmarks.recorded ----------------------------------------------------------------------------------------------


def test_every_agent_plays_the_recording(recording: Path, capsys: pytest.CaptureFixture[str]):
    """Ours, the oracle and the always-wrong predictor leave transcripts, requests and writes as they are."""
    (report,) = played(capsys, recording)["sets"]
    assert set(report) >= {"set", "test_runs", "real_calls", "tool_share", "plain_over_ideal", "variants", "notes"}
    variants = report["variants"]
    assert set(variants) == {PLAIN, OURS, ORACLE, WRONG} | ({EAGER} if EAGER_INSTALLED else set())
    for name in (PLAIN, OURS, ORACLE, WRONG):
        figures = variants[name]
        same = [figures[f"{what}_identical"] for what in ("transcripts", "writes", "requests")]
        assert (same, figures["failed"]) == ([report["test_runs"]] * 3, 0), name
    assert report["real_calls"] == 3 * report["test_runs"]
    assert variants[ORACLE]["hits"] == 2 * report["test_runs"]
    assert variants[ORACLE]["share_of_oracle"] == 1.0
    assert variants[WRONG]["hits"] == 0
    assert variants[WRONG]["launched"] == variants[WRONG]["wasted"] > 0


def test_the_sync_interface_is_played_too(recording: Path, capsys: pytest.CaptureFixture[str]):
    """`--sync` goes through `invoke`, where eager-tools cannot run."""
    (report,) = played(capsys, recording, "--sync", "--runs", "1")["sets"]
    assert set(report["variants"]) == {PLAIN, OURS, ORACLE, WRONG}
    assert all(figures["transcripts_identical"] == 1 for figures in report["variants"].values())


def test_a_frozen_predictor_learns_nothing_more():
    """`--frozen` measures what was learned from other tasks alone."""
    predictor = LastFollower()
    predictor.learn(History(), [Call("get_order", {})])
    frozen = Frozen(predictor)
    frozen.learn(History(), [Call("cancel_order", {})])
    assert [candidate.call.name for candidate in frozen.predict(History(), k=3)] == ["get_order"]


def test_the_table_says_what_the_figures_are(recording: Path, capsys: pytest.CaptureFixture[str]):
    """People read whose time, what was learned from, and that the data is not held out."""
    assert recorded.main([str(recording), *QUICK, "--runs", "1", "--variant", OURS]) == 0
    shown = capsys.readouterr().out
    assert "development data" in shown
    assert "1/1" in shown


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not a trace line"),
        ('{"id": 1, "task_id": 2}', "not a trace line"),
        ('{"id": 1, "task_id": 2, "events": [{"content": "x"}]}', "event with an unknown role"),
        ('{"id": 1, "task_id": 2, "events": 7}', "run without a list of events"),
        ("", "holds no runs"),
        ('{"id": 1, "task_id": 2, "events": [{"role": "user", "content": "x"}]}', "at least two tasks"),
    ],
)
def test_a_file_of_something_else_is_one_line_of_error(
    content: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2, and a line with the file and what is wrong."""
    path = tmp_path / "other.jsonl"
    path.write_text(content, "utf-8")
    assert recorded.main([str(path), *QUICK]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert complaint in error
    assert "other.jsonl" in error


def test_a_missing_file_is_one_line_of_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 2, and a line with the file."""
    assert recorded.main([str(tmp_path / "none.jsonl.gz"), *QUICK]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_not_gzip_is_one_line_of_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Also where only the name says gzip."""
    path = tmp_path / "plain.jsonl.gz"
    path.write_text("{}", "utf-8")
    assert recorded.main([str(path), *QUICK]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("options", [["--model-pace", "soon"], ["--tool-latency", "recorded"], ["--runs", "-1"], []])
def test_a_wrong_option_ends_with_code_2(options: list[str], capsys: pytest.CaptureFixture[str]):
    """As argparse does it."""
    with pytest.raises(SystemExit) as ended:
        recorded.main(["x.jsonl", *options] if options else [])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_recorded_times_are_asked_for_only_where_there_are_any(recording: Path, capsys: pytest.CaptureFixture[str]):
    """A recording without clocks cannot be played at its recorded pace."""
    assert recorded.main([str(recording), "--model-pace", "recorded", "--quiet"]) == 2
    assert "no recorded model times" in capsys.readouterr().err


@pytest.mark.skipif(not FOLDER.exists(), reason="the public recordings are not beside the project (../shared/traces)")
def test_every_public_recording_can_be_played():
    """No run of the public recordings opens in a way that a script cannot take."""
    for path in sorted(FOLDER.glob("*.jsonl.gz")):
        assert all(script_of(run) is not None for run in read([path])), path.name


# -- the other two ----------------------------------------------------------------------------------------------------


def test_three_turns_reports_every_agent(capsys: pytest.CaptureFixture[str]):
    """Async and sync, each with the ideal it is held against."""
    assert three_turns.main(["--model", "0.03", "--tool", "0.02", "--rounds", "1", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ideal_s"] == pytest.approx(0.12)
    assert set(report["sync"]) == {PLAIN, OURS}
    assert all(report[interface][OURS]["identical"] == 1 for interface in ("sync", "async"))


def test_overhead_reports_every_cost_with_its_limit(capsys: pytest.CaptureFixture[str]):
    """Sync and async; where every call is to be adopted, every call is."""
    assert overhead.main(["--rounds", "1", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    for interface in ("sync", "async"):
        assert set(report[interface]) == {overhead.PLAIN, *overhead.LIMITS}
        assert report[interface][overhead.ADOPTING]["hit_rate"] == 1.0
        assert report[interface][overhead.IDLE]["hit_rate"] == 0.0


# -- learning ---------------------------------------------------------------------------------------------------------


def test_learning_reports_steps_growth_file_and_bulk(capsys: pytest.CaptureFixture[str]):
    """Every stage up to the number of runs that was asked for, and the size of the file."""
    assert learning.main(["--rounds", "3", "--runs", "120", "--limit", "2", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["growth"]) == {"100", "120"}
    assert report["long"]["steps"] > 0
    assert report["file_mb"] > 0
    assert all(figures["calls_per_s"] > 0 for figures in report["bulk"].values())


def test_made_up_runs_are_the_same_for_the_same_seed():
    """And the long ones reach the length at which steps are measured."""
    assert list(islice(support.runs(1), 3)) == list(islice(support.runs(1), 3))
    assert all(len(run.events) > learning.MESSAGES for run in islice(support.long_runs(1), 3))
