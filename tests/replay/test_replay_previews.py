"""Model calls that start on remembered results are played too: what they hide, what they cost, what nobody knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.replay import Times, as_json, assumptions, forecast, verdict
from langgraph_speculate.replay.forecast import Forecast
from langgraph_speculate.replay.page import page
from langgraph_speculate.replay.player import Play
from langgraph_speculate.replay.script import Script
from langgraph_speculate.replay.stage import Stage
from langgraph_speculate.replay.times import Clockwork
from langgraph_speculate.traces import Run
from tests.commands import command

SHARED = Path(__file__).resolve().parents[3] / "shared" / "traces"
MODEL_S, TOOL_S = 1.0, 0.6
LOOK_UP, NEXT, WRITE = Call("get_order", {"id": 7}), Call("get_order", {"id": 8}), Call("set_order", {"id": 7})
POLICY: Mapping[str, Any] = {
    "model_ahead": True,
    "tools": {"get_order": {"read_only": True}},
    "token_prices": {"*": {"input": 0.0, "output": 1.0}},
}


class Silent:
    """Foresees no call."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return []

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


def run_of(*steps: tuple[Call, str], id: str = "r", then: str = "assistant", usage: Any = None) -> Run:
    """A run in which the model makes these calls one after the other, with these answers; then somebody speaks."""
    events: list[Mapping[str, Any]] = [{"role": "user", "content": "?"}]
    for at, (call, answer) in enumerate(steps):
        made = {"id": f"c{at}", "name": call.name, "args": dict(call.args)}
        events.append({"role": "assistant", "content": "", "tool_calls": [made], "usage_metadata": usage})
        events.append({"role": "tool", "tool_call_id": f"c{at}", "content": answer})
    said = {"role": then, "content": "a word" * 100}
    return Run(id, id, [*events, said, {"role": "assistant", "content": "Done."}] if then else events)


def stage(policy: Mapping[str, Any] = POLICY, *, tool_s: float = TOOL_S, **how: Any) -> Stage:
    clockwork = Clockwork(Times("fixed", MODEL_S), [("*", Times("fixed", tool_s))])
    known = {"get_order", "set_order"}
    return Stage(SpeculationPolicy.from_dict(policy), Silent(), known, clockwork, **how)


def play(on: Stage, *runs: Run) -> list[float]:
    """Play runs one after the other; how long each took."""
    took = []
    for run in runs:
        play = Play(Script.of(run), on)
        on.simulation.start(play.process())
        on.simulation.run()
        took.append(play.played.seconds)
    return took


SENT = run_of((LOOK_UP, "sent"), id="a", then="")


@pytest.mark.parametrize("tool_s", [0.2, 0.6, 1.0, 2.5])
def test_a_remembered_result_hides_as_much_of_the_next_step_as_its_tool_takes(tool_s: float):
    """
    What the tool's wait and the model's step have in common; the first time nobody knows the result.
    """
    run = run_of((LOOK_UP, "sent"))
    cold, warm = play(stage(tool_s=tool_s), run)[0], play(stage(tool_s=tool_s), SENT, SENT, run)[2]

    assert cold == pytest.approx(3 * MODEL_S + tool_s)
    assert cold - warm == pytest.approx(min(tool_s, MODEL_S))


def test_another_result_costs_tokens_and_no_time():
    """
    The preview ends with the tool; what it had read, and written by then, is wasted for that reason.
    """
    on = stage()
    took = play(on, SENT, SENT, run_of((LOOK_UP, "lost")))[2]
    previews = on.collector.snapshot().previews

    assert took == pytest.approx(3 * MODEL_S + TOOL_S)
    assert dict(previews.wasted) == {"result": 1}
    assert previews.wasted_tokens > 600 // 4 * TOOL_S
    assert previews.wasted_cost == pytest.approx(600 // 4 * TOOL_S / 1e6)


def test_what_is_not_streamed_is_written_to_its_end():
    """
    A request cannot be stopped: all of its tokens count.
    """
    on = stage(reads_streams=False)
    play(on, SENT, SENT, run_of((LOOK_UP, "lost")))

    assert on.collector.snapshot().previews.wasted_cost == pytest.approx(600 // 4 / 1e6)


def test_tokens_are_those_that_were_counted():
    """
    Where the recording says what its provider counted; only results are estimated.
    """
    on, usage = stage(reads_streams=False), {"input_tokens": 5_000, "output_tokens": 40}
    play(on, SENT, SENT, run_of((LOOK_UP, "lost in the post"), usage=usage))

    assert on.collector.snapshot().previews.wasted_tokens == 5_040 + len("sent") // 4 + 600 // 4


def test_a_word_in_between_makes_it_another_input():
    """
    Somebody spoke between the tool and the model: the preview did not know that.
    """
    on = stage()
    took = play(on, SENT, SENT, run_of((LOOK_UP, "sent"), then="user"))[2]

    assert took == pytest.approx(2 * MODEL_S + TOOL_S)
    assert dict(on.collector.snapshot().previews.wasted) == {"messages": 1}


def test_a_result_is_not_expected_after_a_write():
    """
    What was read may have changed; without a write it is expected.
    """
    wrote = run_of((LOOK_UP, "sent"), (WRITE, "ok"), id="w", then="")
    on, calm = stage(), stage()
    play(on, SENT, wrote, run_of((LOOK_UP, "sent")))
    play(calm, SENT, SENT, run_of((LOOK_UP, "sent")))

    assert calm.collector.snapshot().previews.used == 2
    assert on.collector.snapshot().previews.used == 1  # that of the run which writes afterwards


def test_an_answer_without_text_is_remembered_as_any_other():
    """
    A scratchpad answers nothing. That is no gap in the recording, as long as other tools of the run say something.
    """
    noted = run_of((LOOK_UP, ""), (NEXT, "paid"), id="noted", then="")
    on, gaps = stage(), stage()
    play(on, noted, noted, noted)
    play(gaps, *[run_of((LOOK_UP, ""), id="gap", then="")] * 3)

    assert on.collector.snapshot().previews.used == 2 * 2
    assert gaps.collector.snapshot().previews.began == 0


@pytest.mark.parametrize(("shared", "used"), [(False, 0), (True, 2)])
def test_users_that_are_kept_apart_do_not_share_what_they_remember(shared: bool, used: int):
    """
    Each recorded run may be another user's; what the policy calls shared is everybody's.
    """
    tools = {"get_order": {"read_only": True, "shared_results": shared}}
    on = stage({**POLICY, "partition_by": ["user_id"], "tools": tools})
    play(on, SENT, run_of((LOOK_UP, "sent"), id="b"), run_of((LOOK_UP, "sent"), id="c"))

    assert on.collector.snapshot().previews.used == used


def test_a_run_that_was_learned_from_is_remembered():
    """
    But for what its own writes have made old.
    """
    on, stale = stage(), stage()
    for _ in range(2):
        on.recollection("a").take_in(SENT)
        stale.recollection("w").take_in(run_of((LOOK_UP, "sent"), (WRITE, "ok"), id="w"))
    play(on, run_of((LOOK_UP, "sent")))
    play(stale, run_of((LOOK_UP, "sent")))

    assert on.collector.snapshot().previews.used == 1
    assert stale.collector.snapshot().previews.began == 0


TWO = run_of((LOOK_UP, "sent"), (NEXT, "paid"), id="two", then="")


def test_what_a_preview_writes_is_launched_while_its_tool_runs():
    """
    The tool after next begins as soon as its call is written, so half of it is over when the model is asked.
    """
    on = stage(tool_s=2 * MODEL_S, reads_streams=False)
    cold, *_, warm = play(on, *[TWO] * 8)

    # Two messages and two tools. The second message is hidden, and of its tool what is left of the first one's time.
    assert cold == pytest.approx(6 * MODEL_S)
    assert warm == pytest.approx(4 * MODEL_S)
    assert on.collector.snapshot().hits > 0


@pytest.mark.parametrize(
    ("tools", "run"),
    [
        ({"get_order": {"read_only": False}}, TWO),
        ({"get_order": {"read_only": True}}, run_of((LOOK_UP, "lost"), (NEXT, "paid"), id="other", then="")),
        ({"get_order": {"read_only": True}}, run_of((WRITE, "ok"), (NEXT, "paid"), id="wrote", then="")),
    ],
    ids=["undeclared", "a preview that is wrong", "behind a write"],
)
def test_what_may_not_run_or_nobody_knows_is_not_launched(tools: Any, run: Run):
    """
    Beyond what the recording tells, or the policy allows, nothing is launched.
    """
    on = stage({**POLICY, "tools": tools}, tool_s=2 * MODEL_S, reads_streams=False)
    before = [run_of((WRITE, "ok"), (LOOK_UP, "sent"), id="before", then="")] * 3
    play(on, *[TWO] * 7, *before)
    so_far = on.collector.snapshot().launched
    play(on, run)

    assert on.collector.snapshot().launched == so_far


# -- what a forecast says of it ----------------------------------------------------------------------------------------


def runs(answer: str = "sent") -> list[Run]:
    return [run_of((LOOK_UP, answer), id=f"r{number}") for number in range(120)]


def foretold(of: list[Run], **settings: Any) -> Forecast:
    return forecast(
        lambda: iter(of),
        SpeculationPolicy.from_dict({"tools": POLICY["tools"]}),
        model=Times("fixed", MODEL_S),
        tools=[("*", Times("fixed", TOOL_S))],
        settings=settings,
        taught=Silent,
    )


def test_a_forecast_tells_what_the_model_ahead_adds_to_tools_ahead():
    """
    Beside the times without it, with what it costs and at which prices.
    """
    found = foretold(runs(), model_ahead=True)
    told = as_json(found)
    both, alone = told["variants"]

    assert (both["name"], alone["name"]) == ("", "tools alone")
    assert alone["previews"] is None
    assert both["previews"]["used"] == both["previews"]["began"] == len(found.variants[0].runs)
    assert alone["ahead_s"] - both["ahead_s"] == pytest.approx(TOOL_S * both["previews"]["used"])
    assert any("the model ahead saves another 21.6 s: 36 of 36 previews used" in line for line in verdict(found))
    assert any("cost 3 read and 15 written" in line for line in assumptions(found))
    assert any("estimated, four characters each" in line for line in assumptions(found))
    assert "36 of 36" in page(found)


def test_without_model_ahead_nothing_is_said_of_it():
    """
    Nobody asked.
    """
    found = foretold(runs())

    assert found.tools_alone is None
    assert "preview" not in " ".join([*verdict(found), *assumptions(found)])


def test_where_no_result_is_recorded_that_is_said():
    """
    A zero would look like an answer.
    """
    found = foretold(runs(""), model_ahead=True)

    assert any("the recordings hold no results of tools" in line for line in verdict(found))
    assert as_json(found)["variants"][0]["previews"] is None


def test_the_command_asks_so_far_is_turned_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    With prices from the command line, in words and as data.
    """
    path = tmp_path / "runs.jsonl"
    lines = [json.dumps({"id": run.id, "events": run.events}) for run in runs()]
    path.write_text("\n".join(lines))
    asked = (path, "--model-ahead", "--token-price", "0.25,2", "--model-pace", 1, "--tool-latency", 3)
    _, out, _ = command(capsys, "replay", *asked)
    told = json.loads(command(capsys, "replay", *asked, "--json")[1])

    assert "previews used" in out
    assert any("cost 0.25 read and 2 written" in line for line in told["assumptions"])
    assert told["variants"][0]["previews"]["used"] > 0
    assert command(capsys, "replay", path, "--token-price", "cheap")[0] == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the public recordings beside the project (../shared/traces)")
def test_a_forecast_of_previews_is_what_real_agents_do():
    """
    The same runs played by LangGraph and our engine in virtual time, alone and beside tools that run ahead.
    """
    from benchmarks.forecasts import previews_compared
    from benchmarks.recorded import Latency

    row = previews_compared(SHARED / "taubench_airline.jsonl.gz", Latency.parse("1x"), 0, runs=6)

    for name in ("model ahead", "both"):
        assert row[name]["off_by"] <= row[name]["allowed"]
        assert row[name]["used"]["forecast"] == pytest.approx(row[name]["used"]["measured"], abs=2)
