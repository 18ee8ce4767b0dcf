"""The measurements measure what they say: scripts and worlds are those of the recording, figures add up, errors are
clear. Nothing here asserts a time."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from benchmarks import (
    capacity,
    chains,
    decisions,
    evidence,
    first_token,
    grid,
    learning,
    load,
    observing,
    overhead,
    recorded,
    services,
    squash,
    stream_overhead,
    streaming,
    support,
    three_turns,
)
from benchmarks import report as report_benchmark
from benchmarks.guesses import Guesses
from benchmarks.play import BEGIN, BOTH, STREAM, Attempt, Hidden, Message, Play, plays
from benchmarks.play import EAGER as EAGER_ALONE
from benchmarks.script import ModelPace, Player, script_of, split_by_effect
from benchmarks.services import Api, Service, Slots, TooManyRequests, Use
from benchmarks.streaming import EAGER_START, Schedule
from benchmarks.surroundings import undisturbed
from benchmarks.traces import FOLDER, Run, read
from benchmarks.variants import (
    AHEAD,
    DELUDED,
    EAGER,
    EAGER_INSTALLED,
    ORACLE,
    OURS,
    PLAIN,
    WITH_AHEAD,
    WRONG,
    Frozen,
    Guessing,
)
from benchmarks.virtual import in_virtual_time
from benchmarks.wire import completions, contradicted_at, differences
from benchmarks.world import World
from langgraph_speculate.core import Call, Candidate, History, events
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.demo.loopback import ApiError, LoopbackServer
from langgraph_speculate.host import clock
from langgraph_speculate.host.forecast import Forecaster
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
    wrong = variants[WRONG]  # its guesses are all in vain; what the model has written needs none
    assert wrong["launched"] - wrong["hits"] == wrong["wasted"] > 0


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


def test_virtual_time_plays_the_same_runs(recording: Path, capsys: pytest.CaptureFixture[str]):
    """Transcripts, requests and writes are the same, and time is exactly that of model and tools."""
    (report,) = played(capsys, recording, "--virtual", "--concurrency", "1")["sets"]
    assert set(report["variants"]) == {PLAIN, OURS, ORACLE, WRONG}
    for name, figures in report["variants"].items():
        same = [figures[f"{what}_identical"] for what in ("transcripts", "writes", "requests")]
        assert (same, figures["failed"]) == ([report["test_runs"]] * 3, 0), name
    # In a run 5 messages of 0.03 s and 3 calls of 0.02 s; both reads are hidden by an oracle, the write by nobody.
    assert report["plain_over_ideal"] == pytest.approx(1.0)
    assert report["variants"][PLAIN]["median_s"] == pytest.approx(0.21)
    assert report["variants"][ORACLE]["median_s"] == pytest.approx(0.17)
    assert report["variants"][WRONG]["median_s"] == pytest.approx(0.21)


def test_model_calls_start_on_what_tools_answered_in_the_training_part(
    recording: Path, capsys: pytest.CaptureFixture[str]
):
    """The write says "done" to everybody, so the message after it is there sooner; alone no tool runs early."""
    options = ["--virtual", "--variant", AHEAD, "--variant", WITH_AHEAD, "--token-price", "0,0"]
    (report,) = played(capsys, recording, *options)["sets"]
    assert list(report["variants"]) == [PLAIN, AHEAD, WITH_AHEAD]
    for name, figures in report["variants"].items():
        assert (figures["transcripts_identical"], figures["failed"]) == (report["test_runs"], 0), name
    alone = report["variants"][AHEAD]
    assert (alone["launched"], alone["amplification"]) == (0, 1.0)
    assert alone["previews_used"] >= report["test_runs"]
    assert alone["saved_share"] > 0
    low, high = alone["saved_share_interval"]
    assert low <= alone["saved_share"] <= high


def test_a_memory_that_is_always_wrong_costs_tokens_and_no_time(recording: Path, capsys: pytest.CaptureFixture[str]):
    """Every preview of it is in vain, and the answers are those of the plain agent, as late."""
    (report,) = played(capsys, recording, "--virtual", "--variant", DELUDED, "--token-price", "0,0")["sets"]
    figures = report["variants"][DELUDED]
    assert (figures["transcripts_identical"], figures["failed"]) == (report["test_runs"], 0)
    assert figures["previews_began"] > figures["previews_used"] == 0
    assert figures["wasted_tokens"] > 0
    assert figures["total_s"] == pytest.approx(report["variants"][PLAIN]["total_s"])


def test_what_tools_read_and_write_is_taken_from_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A write then makes old what it touches, and nothing else; mistakes in the file are told."""

    def run(number: int) -> list[dict[str, Any]]:
        look, tell = ("1", "get_order", {"order_id": "A"}), ("2", "send_note", {"text": f"note {number}"})
        asked = [user("a"), says("", look), answers("1", "open"), says("", tell), answers("2", f"sent {number}")]
        return [*asked, says("b")]

    path, policy = write(tmp_path / "desk.jsonl", [run(number) for number in range(9)]), tmp_path / "declared.toml"
    policy.write_text('[tools.get_order]\nreads = ["order:{order_id}"]\n[tools.send_note]\nwrites = ["desk"]\n')
    options = ["--virtual", "--variant", AHEAD, "--token-price", "0,0"]
    used = [
        played(capsys, path, *options, *more)["sets"][0]["variants"][AHEAD]["previews_used"]
        for more in ([], ["--declared", str(policy)])
    ]
    assert used[1] > used[0] == 0
    policy.write_text("[tools.get_order]\nread = []\n")
    with pytest.raises(SystemExit):
        recorded.main([str(path), *options, "--declared", str(policy)])
    assert "tools.get_order.read" in capsys.readouterr().err


def test_the_policy_of_the_airline_names_its_tools():
    """Each tool of the public recordings, and what it reads or writes."""
    declared = recorded.declared_in("benchmarks/policies/airline.toml")
    assert {"get_reservation_details", "book_reservation", "calculate"} <= set(declared)
    assert all(set(entry) <= {"reads", "writes"} and any(entry.values()) for entry in declared.values())


def test_thrifts_and_tool_times_are_compared(recording: Path, capsys: pytest.CaptureFixture[str]):
    """Every thrift is an agent of its own, and every tool time a table of its own."""
    options = ["--virtual", "--variant", OURS, "--thrift", "0,1"]
    reports = played(capsys, recording, *options, "--tool-latency", "2x,0.01")["sets"]
    assert [report["tool_latency_s"] for report in reports] == [0.06, 0.01]
    for report in reports:
        assert list(report["variants"]) == [PLAIN, "ours t0", "ours t1"]


def test_virtual_time_is_for_the_async_interface(recording: Path, capsys: pytest.CaptureFixture[str]):
    """Threads would wait in real time."""
    with pytest.raises(SystemExit):
        recorded.main([str(recording), "--virtual", "--sync"])
    assert "--virtual is for the async interface" in capsys.readouterr().err


def test_a_call_that_was_written_is_no_guess():
    """It answers a call, but nobody foresaw it; a guess is right, wasted, or still open."""
    guesses = Guesses()
    for id, stage in (("a", "complete"), ("b", "begin"), ("c", "text"), ("d", "begin")):
        launched = {"turn": "t", "tool": "look", "probability": 0.5, "source": ""}
        guesses.see(events.Launched(run="r", at=0.0, id=id, stage=stage, **launched))
    for id in ("a", "b"):
        guesses.see(events.Committed(run="r", at=1.0, id=id, tool="look"))
    guesses.see(events.Discarded(run="r", at=1.0, id="c", tool="look", reason="contradicted"))
    figures = guesses.figures()
    assert (figures["guesses"], figures["right"], figures["wasted_guesses"]) == (3, 1, 1)
    assert figures["wasted_per_right"] == 1.0


# -- services and load ------------------------------------------------------------------------------------------------


def came(service: Service, *starts: float, seconds: float = 1.0) -> list[float | None]:
    """When bodies that come at *starts* are let in; None: not at all."""

    async def body(start: float) -> float | None:
        await asyncio.sleep(start)
        try:
            async with service():
                began = clock.now()
                await asyncio.sleep(seconds)
                return began
        except TooManyRequests:
            return None

    async def all_of_them() -> list[float | None]:
        return await asyncio.gather(*map(body, starts))

    return in_virtual_time(all_of_them())


def test_who_finds_no_slot_stands_in_line():
    """First come, first served; nobody is in a real call's way but real calls."""
    slots = Slots(2)
    assert came(slots, 0.0, 0.1, 0.2, 0.3) == pytest.approx([0.0, 0.1, 1.0, 1.1])
    assert [round(use.waited_s, 3) for use in slots.uses] == [0.0, 0.0, 0.8, 0.8]
    assert not any(use.before for use in slots.uses)


def test_what_unwanted_bodies_can_have_cost_ends_when_they_leave():
    """A wanted one is in nobody's way, and after a real call has its slot nothing counts."""
    early = {wanted: Use(early=True, wanted=wanted, at=0.0, left=1.5) for wanted in (True, False)}
    lasting = Use(early=True, wanted=False, at=0.0)

    def cost(*before: Use) -> float:
        return Use(early=False, wanted=True, at=3.0, waited_s=2.0, before=list(before)).for_unwanted_s

    assert (cost(), cost(early[True]), cost(*early.values()), cost(lasting)) == (0.0, 0.0, 0.5, 2.0)


def test_an_api_rejects_what_comes_too_often():
    """The window slides, and what was rejected does not count."""
    api = Api(2)
    assert came(api, 0.0, 0.5, 0.9, 1.1, 1.2) == [0.0, 0.5, None, 1.1, None]
    assert [use.rejected for use in api.uses] == [False, False, True, False, True]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small service, and few runs to learn from and to play."""
    for name, count in (("SLOT_COUNT", 2), ("REQUESTS", 1), ("LEAST_RUNS", 2), ("TAUGHT", 20)):
        monkeypatch.setattr(load, name, count)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("service", [load.SLOTS, load.RATE])
def test_load_reports_every_load_plain_and_speculating(service: str, capsys: pytest.CaptureFixture[str]):
    """The same runs, all to their ends; real bodies that early ones held up are counted, and plain has none of them."""
    options = ["--loads", "1,5", "--service", service, "--repeats", "1", "--quiet"]
    assert load.main([*options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(cell["load"], cell["runs"]) for cell in report["cells"]] == [(1, 2), (5, 5)]
    for cell in report["cells"]:
        (plain,), (ours,) = cell[PLAIN], cell[OURS]
        assert cell["change"]["median_s"] == pytest.approx(ours["median_s"] / plain["median_s"] - 1)
        assert (plain["failed"], ours["failed"], cell["spread"]) == (0, 0, 0.0)
        assert plain["queued_for_early"] == plain["rejected_for_unwanted"] == 0
        assert ours["queued"] >= ours["queued_for_early"] >= ours["queued_for_unwanted"]
    (crowded,) = report["cells"][1][PLAIN]
    assert crowded["queued" if service == load.SLOTS else "rejected"] > 0
    assert report["cells"][0][OURS][0]["right"] > 0


def test_a_body_knows_whether_it_ran_ahead_and_was_wanted(monkeypatch: pytest.MonkeyPatch):
    """Early ones count as wanted from the moment at which a real call has their result."""
    real = Use.begin()
    adopted: list[Callable[[], None]] = []
    early = SimpleNamespace(on_commit=adopted.append)
    monkeypatch.setattr(services, "current_speculation", lambda: early)
    use = Use.begin()
    assert [(one.early, one.wanted) for one in (real, use)] == [(False, True), (True, False)]
    adopted[0]()
    assert use.wanted


# -- the grid, decisions, capacity ------------------------------------------------------------------------------------


def test_the_grid_adds_processor_time_to_waiting(capsys: pytest.CaptureFixture[str]):
    """A right predictor saves waiting, a wrong one none; what each costs the processor is on top."""
    assert grid.main(["--runs", "2", "--tools-ms", "5,1000", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    for line, tool_s in zip(report["rows"], (0.005, 1.0), strict=True):
        assert line["tool_ms"] == tool_s * 1e3
        for name in (grid.RIGHT, grid.LEARNED, grid.RANDOM, grid.ADVERSARIAL):
            cell = line[name]
            added = cell["cpu_ms_a_run"] / 1e3 * report["runs"] / line[PLAIN]
            assert cell["change"] == pytest.approx(cell["waiting"] + added)
        assert line[grid.RANDOM]["waiting"] == pytest.approx(0.0, abs=1e-6)
        assert line[grid.ADVERSARIAL]["waiting"] == pytest.approx(0.0, abs=1e-6)
        assert line[grid.ADVERSARIAL]["right"] == 0
    assert report["rows"][1][grid.RIGHT]["waiting"] < -0.1


def test_the_random_predictor_names_calls_that_exist():
    """Each once, with any probability."""
    script = script_of(Run("r", "t", conversation(1)))
    assert script is not None
    (candidate,) = Guessing([script], READING, 0).predict(History(), k=3)
    assert candidate.call == Call("get_order", {"order_id": "SO-1"})
    assert 0 <= candidate.probability <= 1


def test_decisions_are_those_of_a_run(capsys: pytest.CaptureFixture[str]):
    """Likely reads are launched, unlikely ones and tools of nobody are not."""
    assert decisions.main(["--rounds", "1", "--json"]) == 0
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    launches = {kind: figures["launches_a_turn"] for kind, figures in kinds.items()}
    assert (launches[decisions.POOR], launches[decisions.UNDECLARED]) == (0, 0)
    assert launches[decisions.GOOD] > 0
    assert launches[decisions.MIXED] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system what a process used")
def test_a_report_is_measured_of_a_log_as_long_as_it_is_told(capsys: pytest.CaptureFixture[str]):
    """Whole demonstrations told again: at least so many events, and a page of them."""
    assert report_benchmark.main(["--events", "1200", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert 1200 <= report["events"] < 1200 + 600
    assert 20 < report["page_kb"] < 300
    assert report["peak_mb"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc how much memory is in use")
def test_capacity_measures_each_agent_in_a_process_of_its_own(capsys: pytest.CaptureFixture[str]):
    """All runs end, ours adopts calls, and the peak is no less than what is in use afterwards."""
    assert capacity.main(["--runs", "4", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report[OURS]["real_calls"] == (1 + 1 + 4) * report["steps"] + 4  # of one turn each, to fill
    assert report[OURS]["hits"] > 0
    for name in (PLAIN, OURS):
        assert report[name]["peak_mb"] > report[name]["after_mb"] > 0


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


# -- the wire ---------------------------------------------------------------------------------------------------------


def piece(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments} | ({"name": name} if name else {})}]}


def request(*messages: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"model": "scripted", "messages": list(messages), **settings}


SYSTEM = {"role": "system", "content": "Be kind."}


def test_a_call_is_complete_with_the_last_piece_of_its_arguments():
    """Text and the names of calls complete nothing."""
    deltas = [{"content": "Well"}, piece(0, "", "a"), piece(0, "{}"), piece(1, "", "b"), piece(1, "{"), piece(1, "}")]
    assert completions(deltas, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == [0.3, 0.6]
    assert completions([{"content": "Well"}], [0.1]) == []


@pytest.mark.parametrize(
    ("pieces", "at"),
    [
        ([piece(0, "", "look_up"), piece(0, '{"k"'), piece(0, ": 1}")], None),
        ([piece(0, "", "look_up"), piece(0, '{"k"'), piece(0, ": 2}")], 2),
        ([{"content": "Well"}, piece(0, "", "search"), piece(0, '{"k": 1}')], 1),
        ([piece(0, "", "look_up"), piece(0, '{"k": 1}'), piece(0, " ")], 2),
        ([{"content": "Well"}], None),
    ],
)
def test_the_first_piece_that_cannot_become_the_call_contradicts_it(pieces: list[dict[str, Any]], at: int | None):
    """By the name of its tool, by its arguments, or by going on after them."""
    assert contradicted_at(pieces, "look_up", '{"k": 1}') == at


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ([request(SYSTEM, user("hi"), seed=7)], []),
        ([request(SYSTEM, user("hi") | {"name": "mia"}, seed=7)], []),
        ([request(SYSTEM, user("hi"))], ["no seed"]),
        ([request(SYSTEM, user("hi"), seed=8, top_p=1)], ["seed changed", "top_p added"]),
        ([request(user("hi"), seed=7)], ["no system message"]),
        ([request(SYSTEM, user("ho"), seed=7)], ["message 1 (user) changed"]),
        ([request(SYSTEM, user("hi"), user("ho"), seed=7)], ["3 messages instead of 2"]),
        ([request(SYSTEM, user("hi"), seed=7)] * 2, ["2 requests instead of 1"]),
        ([], ["0 requests instead of 1"]),
    ],
)
def test_requests_are_the_same_but_for_who_asks(own: list[dict[str, Any]], found: list[str]):
    """Whatever else differs is told in words."""
    assert differences(own, [request(SYSTEM, user("hi"), seed=7)]) == found


# -- streaming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool_s", "plain_s", "bound_s", "foreseen_s"),
    [
        ((1.0, 0.1), 3.14, 2.2, 2.14),
        ((0.5, 0.5), 2.64, 2.6, 2.14),
        ((0.1, 1.0), 3.14, 3.1, 2.14),
        ((2.0, 2.0), 4.14, 4.1, 2.14),
        ((0.0, 0.0), 2.14, 2.14, 2.14),
        ((3.0, 0.1), 5.14, 4.05, 3.0),
    ],
)
def test_an_early_start_is_bound_by_the_end_of_the_message_and_by_each_call(
    tool_s: tuple[float, float], plain_s: float, bound_s: float, foreseen_s: float
):
    """A call cannot start before it is complete, the answer not before the message has ended and all calls have."""
    schedule = Schedule((1.05, 2.1), 2.14, tool_s, 0.5)
    found = (schedule.plain_s, schedule.bound_s, schedule.foreseen_s)
    assert found == pytest.approx((plain_s + 0.5, bound_s + 0.5, foreseen_s + 0.5))


def test_streaming_reports_every_agent_against_its_bound(capsys: pytest.CaptureFixture[str]):
    """Ours leaves transcripts and requests as they are; calls are complete when the pace says."""
    options = ["--case", "slow first", "--case", "single", "--scale", "0.05", "--rounds", "1"]
    assert streaming.main([*options, "--json", "--quiet"]) == 0
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert cases["slow first"]["complete_s"] == pytest.approx([0.0525, 0.105])
    assert cases["slow first"]["bound_s"] == pytest.approx(0.11)
    assert cases["single"]["plain_s"] == pytest.approx(0.1045)
    for case in cases.values():
        assert set(case["sync"]) == {PLAIN, EAGER_START, ORACLE}
        assert set(case["async"]) == {PLAIN, EAGER_START, ORACLE} | ({EAGER} if EAGER_INSTALLED else set())
        for name in (PLAIN, EAGER_START, ORACLE):
            for figures in (case["sync"][name], case["async"][name]):
                told = (figures["identical"], figures["asked_otherwise"], figures["first_error"])
                assert told == (1, [], None), name
                assert all(start < 0 for start in figures["starts_ms"]) == (name == ORACLE)


@pytest.mark.skipif(not EAGER_INSTALLED, reason="eager-tools-langgraph is not installed")
def test_streaming_tells_what_an_agent_asks_otherwise(capsys: pytest.CaptureFixture[str]):
    """What the peer drops is seen on the wire: the prompt, the tools, and the middleware inside of its own."""
    assert streaming.main(["--case", "single", "--scale", "0.02", "--rounds", "1", "--quiet"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if EAGER in line]
    assert "no (no tools, no user, no system message)" in line


def test_the_nearly_right_are_contradicted_by_the_last_piece_only():
    """Until then all four have to be kept."""
    for turn in stream_overhead.TURNS:
        told = [chunk for _, chunks in stream_overhead.sections(turn) for chunk in chunks]
        written = "".join(part["args"] or "" for chunk in told for part in chunk.message.tool_call_chunks)
        assert json.loads(written) == stream_overhead.arguments(turn, ".")
        for candidate in range(4):
            foreseen = json.dumps(stream_overhead.arguments(turn, str(candidate)))
            assert foreseen != written
            assert foreseen[:-4] == written[:-4]


def test_stream_overhead_reports_every_cost_with_its_limit(capsys: pytest.CaptureFixture[str]):
    """Sync and async, each state; that four candidates are in flight is made sure of inside."""
    assert stream_overhead.main(["--rounds", "1", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    for interface in ("sync", "async"):
        assert set(report[interface]) == {stream_overhead.HANDLER, *stream_overhead.STATES}
        for state in stream_overhead.STATES:
            limits = {kind: cost["limit_us"] for kind, cost in report[interface][state].items()}
            assert limits == {**stream_overhead.LIMITS_US, stream_overhead.LAST: None}


def test_squash_reports_when_early_calls_were_stopped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """A task is cancelled, a thread cannot be; either way the message contradicted the call."""
    monkeypatch.setattr(squash, "MESSAGE_S", 0.1)
    assert squash.main(["--rounds", "1", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    for kind in squash.ASKED:
        task, thread = report[squash.ASYNC][kind], report[squash.SYNC][kind]
        assert (task["cancelled"], thread["cancelled"]) == (1, 0)
        assert task["reasons"] == thread["reasons"] == {"contradicted": 1}


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


# -- evidence ---------------------------------------------------------------------------------------------------------

LOOK = Call("get_order", {"id": 17})  # 3 tokens of arguments
OTHER = Call("get_order", {"id": 25})


class Foreseeing:
    """Says the same whatever was seen, and makes nothing of the stream itself."""

    bounded = True

    def __init__(self, *candidates: Candidate) -> None:
        self.candidates = list(candidates)

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return self.candidates[:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


def forecaster(*candidates: Candidate) -> Forecaster:
    return Forecaster(Foreseeing(*candidates), lambda cause, message: pytest.fail(message))


def test_a_message_is_as_long_as_its_tokens():
    """Text, names and arguments come one after the other, and the moments asked about are those of the pieces."""
    message = Message("Let me look.", (LOOK, Call("list_orders", {})), 0.1)
    assert [round(at, 1) for at, _ in message.events()] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert message.end_s == pytest.approx(0.9)
    assert (message.at(0), message.at(0, 0), message.at(0, 9)) == pytest.approx((0.3, 0.4, 0.7))
    assert (message.at(1), message.at(1, 0)) == pytest.approx((0.7, 0.8))


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("{}", {}),
        ('{"a": 1}', {"half written": 4}),
        ('{"a": "b"}', {"half written": 5, "last": 9}),
        ('{"a": 1, "b": [2]}', {"first": 8, "half written": 9, "last": 17}),
    ],
)
def test_a_stage_is_reached_where_the_argument_is_closed(arguments: str, found: dict[str, int]):
    """What a number is, only the sign after it tells; then the call may be complete, and nothing is left to predict."""
    assert evidence.points(arguments) == found


def test_a_call_that_is_written_takes_no_place():
    """Neither do calls of tools that write; a call that was not foreseen is far off."""
    candidates = [Candidate(call, 0.5) for call in (Call("cancel_order", {}), OTHER, LOOK)]
    assert evidence.place_of(LOOK, candidates) == 1
    assert evidence.place_of(LOOK, candidates, [OTHER]) == 0
    assert evidence.place_of(Call("get_order", {"id": 3}), candidates) > 10


def test_each_variant_starts_what_it_may():
    """At the beginning what is likely, eagerly what is written and does not run yet, by the stream what it leaves."""
    message = Message("", (LOOK,), 0.1)
    sure, doubtful = Candidate(OTHER, 0.8), Candidate(LOOK, 0.12)
    played = plays(message, History(), forecaster(sure, doubtful, Candidate(Call("cancel_order", {}), 0.9)))

    def began(variant: str) -> list[tuple[Call, float, str]]:
        return [(one.call, round(one.began_s, 1), one.stage.value) for one in played[variant]]

    assert began(BEGIN) == [(OTHER, 0.0, "begin")]
    assert began(EAGER_ALONE) == [(LOOK, 0.4, "complete")]
    assert began(BOTH) == began(BEGIN) + began(EAGER_ALONE)
    assert began(STREAM) == [(OTHER, 0.0, "begin"), (LOOK, 0.3, "arguments")]
    assert [one.stopped_s for one in played[STREAM]] == [pytest.approx(0.3), None]


def test_no_more_guesses_stand_than_may():
    """Three for a message, best first; one that the stream rules out makes room."""
    guesses = [Candidate(Call("get_order", {"id": number}), 0.4) for number in (1, 2, 3, 17)]
    play = Play(Message("", (LOOK,), 0.1), guesses, History(), forecaster())
    assert [dict(one.call.args)["id"] for one in play.attempts] == [1, 2, 3, 17]
    assert sorted(one.began_s for one in play.attempts)[:3] == [0.0] * 3
    assert all((one.stopped_s is None) == (one.call == LOOK) for one in play.attempts)


def test_a_guess_of_what_is_written_is_no_hit():
    """Between the last argument and the end of the call there is nothing left to guess."""
    message = Message("", (Call("get_order", {"id": "1234567"}),), 0.1)
    guess = Candidate(message.calls[0], 0.01)
    play = Play(message, [guess], History(), forecaster(), eager=True)
    assert [one.kind for one in play.attempts] == ["complete"]


def test_a_step_is_as_long_as_its_longest_wait():
    """Parallel calls count once; a write is waited for; what nobody wants counts until it is stopped."""
    write = Call("cancel_order", {})
    both = Message("", (LOOK, OTHER), 0.1)  # 0.8 s
    hidden = Hidden()
    hidden.see(both, [Attempt(LOOK, 0.0), Attempt(OTHER, 0.5, Stage.COMPLETE)], 1.0)
    assert (hidden.hits, hidden.early) == (1, 1)
    assert hidden.seconds == pytest.approx(0.3)
    hidden.see(both, [Attempt(LOOK, 0.0)], 1.0)
    hidden.see(Message("", (LOOK, write), 0.1), [Attempt(LOOK, 0.0)], 1.0)
    assert hidden.seconds == pytest.approx(0.3)
    assert hidden.discarded == 0
    hidden.see(both, [Attempt(LOOK, 0.0, stopped_s=0.2), Attempt(write, 0.0)], 0.5)
    assert (hidden.discarded, hidden.regretted) == (2, 1)
    assert hidden.wasted_s == pytest.approx(0.7)
    assert hidden.seconds == pytest.approx(0.3)


def test_nothing_of_the_test_half_is_looked_at():
    """Both parts come from the training half, unless it is said to be final."""
    runs = [Run(str(number), str(number), ()) for number in range(40)]
    kept, held_out = evidence.parts(runs, 0, final=True)
    learned, measured = evidence.parts(runs, 0, final=False)
    assert {run.id for run in learned + measured} == {run.id for run in kept}
    assert not {run.id for run in learned} & {run.id for run in measured}
    assert len(kept) + len(held_out) == 40


def test_evidence_reports_every_stage_and_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A set that is not there is skipped with a reason, and the tables say what was measured."""
    write(tmp_path / "shop.jsonl.gz", [conversation(number) for number in range(20)])
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    assert evidence.main(["--sets", "shop", "none", "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    assert "skipped: no none.jsonl.gz" in said.err
    report = json.loads(said.out)
    (figures,) = report["sets"]
    assert (report["part"], figures["with_text"]) == ("inner", 0)
    assert figures["messages"] == 2 * figures["runs_played"] == figures["stages"]["begin"]["calls"]
    assert [tools["tool_s"] for tools in figures["tools"]] == [1.0, 0.3, 3.0]
    for tools in figures["tools"]:
        hides = {name: variant["hidden"] for name, variant in tools["variants"].items()}
        assert 0 <= hides[BEGIN] <= hides[BOTH] <= hides[ORACLE] <= 1
        assert tools["stream_over_begin"] == pytest.approx(hides[STREAM] - hides[BEGIN])
    assert evidence.main(["--sets", "shop", "--markdown", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("inner parts of the training half")
    assert "| variant | hidden |" in shown


# -- chains ----------------------------------------------------------------------------------------------------------


def look_around(number: int) -> list[dict[str, Any]]:
    """Three reads, one after the other, of what the user named."""
    events = [user(f"Look at orders {number}1, {number}2 and {number}3.")]
    for place in (1, 2, 3):
        call = f"c{place}"
        events += [says("", (call, "get_order", {"order_id": f"{number}{place}"})), answers(call, "open")]
    return [*events, says("All are open.")]


def test_depths_are_compared_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each depth looks as far as it may, nobody's transcript changes, and ratios are those of the figures."""
    path = write(tmp_path / "looks.jsonl", [look_around(number) for number in range(7)])
    quick = ["--pace", "0.03", "--tools", "2", "--runs", "2", "--concurrency", "1", "--json", "--quiet"]
    assert chains.main([str(path), *quick]) == 0
    (report,) = json.loads(capsys.readouterr().out)["sets"]
    variants = report["variants"]
    assert list(variants) == [PLAIN, "depth 1", "depth 2", "depth 3", ORACLE, f"{ORACLE} 3"]
    assert all(figures["transcripts_identical"] == 2 for figures in variants.values())
    assert [max(map(int, variants[f"depth {depth}"]["launched_by_depth"])) for depth in (1, 2)] == [1, 2]
    assert set(variants[f"{ORACLE} 3"]["launched_by_depth"]) == {"1", "2", "3"}
    own, first = variants["depth 2"], variants["depth 1"]
    assert own["hidden_ratio"] == pytest.approx(own["hidden_s"] / first["hidden_s"])
    assert "depth 3: saves" in "\n".join(chains.ratios(report, (1, 2, 3)))


def test_a_chain_benchmark_on_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """One clear line, and the exit code of a wrong argument."""
    assert chains.main([str(tmp_path / "gone.jsonl")]) == 2
    assert capsys.readouterr().err.startswith("error:")


def test_observing_reports_what_each_observer_costs(capsys: pytest.CaptureFixture[str]):
    """
    The events are those of a run that adopts every call, and each observer takes them all.
    """
    assert observing.main(["--rounds", "1", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["observers"]) == {"OpenTelemetry", "Prometheus", "Live", "JsonLines", "LogLines"}
    assert report["events_per_call"] > 5
    assert all(costs["event_us"] > 0 for costs in report["observers"].values())
    assert all(rate > 0 for rate in report["events_per_second"].values())
    assert set(report["run_ms"]) == {"without", "with"}
    assert "events a second" in "\n".join(observing.table(report))


def test_the_first_token_is_never_later_where_model_calls_start_ahead():
    """Whatever is remembered; and much earlier where it is right."""
    right, wrong, mixed = first_token.report(first_token.KINDS, 2, virtual=True)
    for one in (right, wrong, mixed):
        for figure in ("median_s", "p95_s"):
            assert one[AHEAD][figure] <= one[PLAIN][figure] + 1e-9
    assert right[AHEAD]["median_s"] < 0.2 * right[PLAIN]["median_s"]
    assert right["used"] > mixed["used"] > wrong["used"] == 0
    assert len(list(first_token.table([right, wrong]))) == 4
    (shipped,) = first_token.report(["wrong"], 2, virtual=True, shipped=True)
    assert shipped["previews"] < 0.1 * wrong["previews"]  # what never comes again is not bet on
