"""A forecast separates what it learns from what it plays, tells how sure it is, and gives a plain answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.errors import TraceError
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.policy import Limits, SpeculationPolicy
from langgraph_speculate.replay.forecast import Forecast, forecast
from langgraph_speculate.replay.intervals import interval
from langgraph_speculate.replay.method import Method
from langgraph_speculate.replay.outlook import as_json, assumptions, by_tool, pays, verdict
from langgraph_speculate.replay.page import page
from langgraph_speculate.replay.times import Times, tool_times
from langgraph_speculate.traces import Run, mine, read_runs
from tests.commands import command

SHARED = Path(__file__).resolve().parents[3] / "shared" / "traces"


def run_of(number: int, *, task: str | None = None, tool_s: float | None = 0.8, model_s: float | None = 1.0) -> Run:
    """Somebody asks for an order that the agent looks up: its id stands in the question."""
    id = f"SO-{number}"
    events: list[dict[str, Any]] = [
        {"role": "user", "content": f"Where is order {id}?"},
        {
            "role": "assistant",
            "content": "",
            "duration_s": model_s,
            "tool_calls": [{"id": "c", "name": "get_order", "args": {"order_id": id}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": '{"status": "sent"}', "duration_s": tool_s},
        {"role": "assistant", "content": "It was sent.", "duration_s": model_s},
    ]
    return Run(f"run-{number}", task or f"task-{number}", events)


RUNS = [run_of(number) for number in range(100, 220)]


@contextmanager
def silent(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    yield lambda: None


def foretold(runs: list[Run] = RUNS, policy: SpeculationPolicy | None = None, **how: Any) -> Forecast:
    return forecast(lambda: iter(runs), policy, progress=silent, **how)


def test_a_procedure_over_ids_pays():
    """
    The look-up is foreseen, so all of it is hidden; the answer says so first.
    """
    found = foretold()
    (variant,) = found.variants
    words = list(verdict(found))

    assert pays(found)
    assert variant.saved.value == pytest.approx(0.8 / 2.8, abs=0.02)
    assert words[0].startswith("It pays: expect to save")


def test_what_is_learned_and_what_is_played_share_no_task():
    """
    Runs of one task resemble each other, and would be known already.
    """
    runs = [run_of(number, task=f"task-{number % 10}") for number in range(100, 200)]
    seen: list[str] = []

    class Watching:
        bounded = True

        def predict(self, history: Any, *, k: int) -> list[Any]:
            seen.append(f"played {int(history.origin.run.split('-')[1]) % 10}")
            return []

        def learn(self, history: Any, calls: Any) -> None:
            if not any(word.startswith("played") for word in seen):
                seen.append(f"learned {int(history.origin.run.split('-')[1]) % 10}")

    foretold(runs, taught=Watching)
    learned = {word.split()[1] for word in seen if word.startswith("learned")}
    played = {word.split()[1] for word in seen if word.startswith("played")}

    assert len(learned) == 7
    assert len(played) == 3
    assert not learned & played


def test_by_time_the_earlier_runs_are_learned_from():
    """
    As a live graph would have.
    """
    found = foretold(method=Method(by="time", train=0.5))

    assert found.learned == len(RUNS) // 2
    assert len(found.variants[0].runs) == len(RUNS) // 2


def test_of_many_runs_a_sample_is_played_and_that_is_said():
    """
    With an interval that says how much that leaves open.
    """
    found = foretold(method=Method(runs=10))

    assert len(found.variants[0].runs) == 10
    assert any("Played 10 of the other 36 runs" in sentence for sentence in assumptions(found))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"tools": [("*", Times("fixed", 0.01))]}, "Tools take too little of the time"),
        ({"model": Times("fixed", 0.0), "tools": [("*", Times("fixed", 1.0))]}, "The model is done too soon"),
        ({"policy": SpeculationPolicy()}, "get_order is not declared"),
        ({"runs": RUNS[:40]}, "record more runs"),
    ],
)
def test_where_it_does_not_pay_the_reason_is_told(how: dict[str, Any], reason: str):
    """
    In words that say what to do.
    """
    found = foretold(**how)

    assert not pays(found)
    assert any(reason in sentence for sentence in verdict(found)), list(verdict(found))


def test_few_calls_that_would_pay_are_no_reason_to_leave_it_off():
    """
    They are too few to say; so the first sentence says that, and so does the data.
    """
    found = foretold(RUNS[:40])

    first, *_ = verdict(found)
    assert first.startswith("Too few calls to say (12 looked at, at least 30 needed): so far it would save ")
    told = as_json(found)["verdict"]
    assert (told["pays"], told["too_few"]) == (False, True)


FAST = [run_of(number, tool_s=0.001) for number in range(100, 140)]


@pytest.mark.parametrize(("runs", "pays"), [(RUNS, True), (FAST, False)])
def test_where_calls_are_many_or_save_nothing_it_is_not_for_want_of_calls(runs: list[Run], pays: bool):
    """
    Nothing saved is a reason of its own.
    """
    told = as_json(foretold(runs))["verdict"]

    assert (told["pays"], told["too_few"]) == (pays, False)
    assert not told["words"][0].startswith("Too few")


def test_arguments_that_stand_nowhere_are_told():
    """
    Free text cannot be guessed, whatever tool is.
    """

    def talk(number: int) -> Run:
        run = run_of(number)
        events = [dict(event) for event in run.events]
        events[1]["tool_calls"] = [{"id": "c", "name": "search", "args": {"q": f"{number * 7919 % 1000} things"}}]
        return Run(run.id, run.task, events)

    found = foretold([talk(number) for number in range(300, 500)], method=Method(streams=False))

    assert not pays(found), list(verdict(found))
    assert any("cannot be guessed with their arguments" in sentence for sentence in verdict(found))


def test_variants_are_compared_and_the_best_is_named():
    """
    Each learns for itself; the figures of the first are those that were asked about.
    """
    found = foretold(compare={"thrift=0": {"thrift": 0.0}, "level=shadow": {"level": "shadow"}})
    told = as_json(found)

    assert [variant["name"] for variant in told["variants"]] == ["", "thrift=0", "level=shadow"]
    assert told["variants"][2]["launched"] == 0
    assert told["best"] in ("", "thrift=0")


def fan_out(number: int, wide: int = 5) -> Run:
    """An order whose parcels are all looked up at once: their numbers stand in what the order's look-up answered."""
    parcels = [f"PX-{number * 10 + at}" for at in range(wide)]
    order = {"id": "c", "name": "get_order", "args": {"order_id": f"SO-{number}"}}
    asked = [{"id": f"c{at}", "name": "get_parcel", "args": {"parcel": one}} for at, one in enumerate(parcels)]
    events: list[dict[str, Any]] = [
        {"role": "user", "content": f"Where is order SO-{number}?"},
        {"role": "assistant", "content": "", "duration_s": 1.0, "tool_calls": [order]},
        {"role": "tool", "tool_call_id": "c", "content": json.dumps({"parcels": parcels}), "duration_s": 0.1},
        {"role": "assistant", "content": "", "duration_s": 1.0, "tool_calls": asked},
        *({"role": "tool", "tool_call_id": one["id"], "content": "sent", "duration_s": 0.8} for one in asked),
        {"role": "assistant", "content": "It was sent.", "duration_s": 1.0},
    ]
    return Run(f"run-{number}", f"task-{number}", events)


FAN_OUTS = [fan_out(number) for number in range(100, 160)]


@pytest.mark.parametrize(
    ("streams", "told"), [(True, "--no-streaming if it does not"), (False, "The model does not stream")]
)
def test_whether_the_model_streams_is_said(streams: bool, told: str):
    """
    Recordings do not tell, and the figures rest on it.
    """
    assert any(told in sentence for sentence in assumptions(foretold(method=Method(streams=streams))))


@pytest.mark.parametrize("streams", [True, False])
def test_where_limits_hold_parallel_calls_back_the_verdict_says_so(streams: bool):
    """
    And how to learn what raising them saves; not that calls cannot be guessed, which they were.
    """
    found = foretold(FAN_OUTS, method=Method(streams=streams))
    said = " ".join(verdict(found))

    assert "messages make up to 5 calls at once, and 3 of them may start early" in said
    assert "--compare max_per_turn=5" in said
    assert "cannot be guessed" not in said
    why = {name: why for name, _, why in by_tool(found.variants[0].stats.by_tool)}
    assert why["get_parcel"] == "held back: max_per_turn"


def test_limits_that_cost_nothing_are_no_reason():
    """
    With room for all calls nothing is held back; nor is it worth a word where there is one call at a time.
    """
    roomy = SpeculationPolicy(tools={"get_*": True}, limits=Limits(max_per_turn=8, max_in_flight=8))

    assert not any("Limits held back" in sentence for sentence in verdict(foretold(FAN_OUTS, roomy)))
    assert not any("Limits held back" in sentence for sentence in verdict(foretold()))


def test_recordings_without_calls_get_no_verdict():
    """
    Neither to leave it off nor to record more of the same: they hold nothing that could run ahead.
    """
    silent_runs = [Run(f"r{number}", f"t{number}", [RUNS[0].events[0], RUNS[0].events[-1]]) for number in range(20)]

    assert list(verdict(foretold(silent_runs))) == ["These recordings hold no calls of tools."]


def test_times_that_nobody_recorded_are_said_to_be_assumed():
    """
    A figure that rests on a guess says so.
    """
    found = foretold([run_of(number, tool_s=None, model_s=None) for number in range(100, 200)])
    told = " ".join(assumptions(found))

    assert "No times of the model are recorded" in told
    assert "No time is recorded of get_order" in told


def test_the_same_seed_tells_the_same():
    """
    A forecast can be repeated.
    """
    how = {"method": Method(seed=3), "tools": [("*", Times("lognormal", 0.5))]}

    assert as_json(foretold(**how)) == as_json(foretold(**how))


def test_the_page_holds_the_answer_and_escapes_names():
    """
    Names come out of traces.
    """

    def hostile(number: int) -> Run:
        run = run_of(number)
        events = [dict(event) for event in run.events]
        events[1]["tool_calls"] = [{"id": "c", "name": "get_<script>alert(1)</script>", "args": {}}]
        return Run(run.id, run.task, events)

    text = page(foretold([hostile(number) for number in range(100, 200)]))

    assert "<script>alert" not in text
    assert "It pays" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_a_ratio_lies_in_its_interval_and_more_runs_narrow_it():
    """
    The bootstrap is over runs.
    """
    rows = [(float(number % 3), 2.0) for number in range(2_000)]
    narrow, wide = (interval(part, lambda sums: sums[0] / sums[1]) for part in (rows, rows[:50]))

    assert narrow[0] < 0.5 < narrow[1]
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 3


@pytest.mark.parametrize("text", ["fast", "-1", "1xx", "normal:1", "x", "lognormal:"])
def test_a_time_that_cannot_be_read_is_told(text: str):
    """
    With what it may be.
    """
    with pytest.raises(TraceError, match=r"--tool-latency get_order=.*: takes seconds such as 0\.4"):
        tool_times([f"get_order={text}"])


# -- the command -------------------------------------------------------------------------------------------------------


def replay(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    return command(capsys, "replay", *arguments)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "runs.jsonl"
    lines = [json.dumps({"id": run.id, "task_id": run.task, "events": run.events}) for run in RUNS]
    path.write_text("\n".join([*lines, "no JSON"]))
    return path


def test_the_command_answers_in_words_and_in_json(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Figures on standard output, what was skipped on standard error, once, and a page on request.
    """
    output = tmp_path / "report.html"
    code, out, err = replay(capsys, traces, "--compare", "thrift=0,1", "-o", output)
    told = json.loads(replay(capsys, traces, "--json")[1])

    assert code == 0
    assert out.startswith("It pays")
    assert err.count("skipped: no JSON") == 1
    assert output.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert told["verdict"]["pays"] is True
    assert told["variants"][0]["real_calls"] == 36


def test_more_guesses_for_a_message_are_compared_with_room_for_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    As many may run at one time, or the one limit would hold back what the other lets through.
    """
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps({"id": run.id, "events": run.events}) for run in FAN_OUTS))
    told = json.loads(replay(capsys, path, "--compare", "max_per_turn=3,8", "--no-streaming", "--json")[1])

    saved = {one["name"]: one["saved_share"]["value"] for one in told["variants"]}
    assert list(saved) == ["", "max_per_turn=3", "max_per_turn=8, max_in_flight=8"]
    assert saved["max_per_turn=8, max_in_flight=8"] > 2 * saved["max_per_turn=3"]
    assert told["best"] == "max_per_turn=8, max_in_flight=8"


def test_a_narrow_terminal_shows_all_figures(
    traces: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    In fifty columns, with what stood in the way of a tool below them.
    """
    monkeypatch.setenv("COLUMNS", "50")
    traces.write_text("\n".join(json.dumps({"id": run.id, "events": run.events}) for run in FAN_OUTS))
    _, out, _ = replay(capsys, traces)

    assert max(map(len, out.splitlines())) <= 50
    assert "…" not in out[out.index("tool ") : out.index("- Learned")]
    assert "get_parcel, held back: max_per_turn" in out


def test_runs_that_patterns_were_learned_from_are_left_out(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """
    To ask about what is known already would flatter.
    """
    store = SqlitePatterns(tmp_path / "patterns.db")
    mine(list(read_runs(traces, on_skip=lambda _: None))[:60], store)
    store.close()

    code, out, err = replay(capsys, traces, "--patterns", tmp_path / "patterns.db", "--train", 0, "--json")

    assert code == 0
    assert json.loads(out)["runs"] == len(RUNS) - 60
    assert "60 runs that" in err


def test_where_patterns_know_every_run_what_to_do_is_told(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """
    Whoever mines recordings and then asks about the same ones learns why there is no answer, and how to get one.
    """
    store = SqlitePatterns(tmp_path / "patterns.db")
    mine(read_runs(traces, on_skip=lambda _: None), store)
    store.close()

    code, out, err = replay(capsys, traces, "--patterns", tmp_path / "patterns.db")

    assert (code, out) == (2, "")
    assert "120 runs that" in err.splitlines()[-1]
    assert "give others, or leave --patterns out" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tool-latency", "get=soon"], "takes seconds such as 0.4"),
        (["--tool-latency", "get_ordr=1"], "get_ordr: the traces have no such tool; did you mean 'get_order'?"),
        (["--tool-latency", "track*=1"], "--tool-latency track*: the traces have no such tool; there are get_order"),
        (["--model-pace", "2x"], "a multiple of itself"),
        (["--compare", "thirft=1"], "compares thrift, value_per_second, max_per_turn, max_in_flight"),
        (["--compare", "max_per_turn=2.5"], "'2.5' is no whole number"),
        (["--compare", "max_per_turn=-1"], "max_per_turn: must be a whole number >= 0, got -1"),
        (["--compare", "thrift=a"], "'a' is no number"),
        (["--compare", "thrift=7"], "thrift"),
        (["--policy", "no-such.toml"], "no-such.toml"),
        (["--patterns", "no-such.db"], "no-such.db"),
        (["-o", "no/such/report.html"], "there is no folder"),
        (["--train", "0.99"], "no run is left to play"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    traces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """
    Which says what is wrong, and exit code 2.
    """
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "--train":
        traces.write_text(traces.read_text().splitlines()[0])
    code, _, err = replay(capsys, traces, *arguments)

    assert code == 2
    assert message in err.splitlines()[-1]


def test_a_policy_that_misspells_a_tool_is_told(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    On standard error, with the nearest name; a tool that no trace uses is nothing to tell.
    """
    policy = tmp_path / "policy.toml"
    policy.write_text("[tools.get_odrer]\nread_only = true\n[tools.find_user]\nread_only = true\n")
    told = f"{policy}: tools.get_odrer: the traces have no such tool; did you mean 'get_order'?"

    code, _, err = replay(capsys, traces, "--policy", policy)
    assert code == 0
    assert [line for line in err.splitlines() if "tools." in line] == [told]

    policy.write_text("[tools.get_odrer]\nread_only = true\n[tools.get_order]\nread_only = true\n")
    assert "tools." not in replay(capsys, traces, "--policy", policy)[2]


# -- next to real agents -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the public recordings beside the project (../shared/traces)")
def test_a_forecast_is_what_real_agents_do():
    """
    The same runs played by LangGraph, our engine and tools in virtual time: the saving that replay and shadow foretell
    differs by less than a tenth of it, or a point.
    """
    from benchmarks.forecasts import compared
    from benchmarks.recorded import Latency

    row = compared(SHARED / "taubench_airline.jsonl.gz", Latency.parse("1x"), 0, real_time=False, runs=6)

    assert row["off_by"] <= row["allowed"]
    assert row["shadow_off_by"] <= row["allowed"]
    assert row["shadow"]["cost"] == pytest.approx(0.0, abs=0.001)
    for foretold in ("forecast", "shadow"):
        assert row["hits"][foretold] == pytest.approx(row["hits"]["measured"], abs=2)
