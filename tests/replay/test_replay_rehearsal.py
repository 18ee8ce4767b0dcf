"""What logs of the level `shadow` foretell: the sentence of a replay, from what live runs wrote."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate import JsonLines, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.errors import BadLog, TraceError
from langgraph_speculate.replay.rehearsal import as_json, assumptions, figures, rehearsal, verdict
from langgraph_speculate.traces import read_runs
from tests.commands import command
from tests.host.agents import (
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    drive,
    notebook,
)
from tests.report.logs import busy_run, idle_run, shadow_run, write

MANY = [event for number in range(40) for event in shadow_run(f"s{number}", 10.0 * number)]


def replay(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    return command(capsys, "replay", *arguments)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "shadow.jsonl", MANY)


def foretold(tmp_path: Path, happened: Sequence[events.Event]) -> dict[str, Any]:
    return figures(rehearsal([write(tmp_path / "some.jsonl", list(happened))]))


def test_the_command_answers_in_the_words_of_a_replay(log: Path, capsys: pytest.CaptureFixture[str]):
    """
    The verdict, figures, what it takes for granted; the same as data.
    """
    code, out, _ = replay(capsys, log)
    told = json.loads(replay(capsys, log, "--json")[1])

    assert code == 0
    assert out.startswith("It pays: expect to save 60 of 160 s (37.5 %; 95 % between 37.5 % and 37.5 %)")
    assert "Nothing ran ahead." in out
    assert "The log holds no arguments" in out
    assert "perfect" not in out
    assert told["verdict"]["pays"] is True
    assert (told["runs"], told["calls"]) == (40, 80)
    (told_of,) = told["variants"]
    assert (told_of["launched"], told_of["hits"], told_of["wasted"], told_of["wasted_s"]) == (120, 80, 40, 20.0)
    assert (told_of["plain_s"], told_of["ahead_s"], told_of["tools_s"]) == (160.0, 100.0, 80.0)


def test_runs_at_other_levels_are_left_out(tmp_path: Path):
    """
    What they did is no forecast, and what they launched is none of it.
    """
    alone, beside = foretold(tmp_path, MANY), foretold(tmp_path, [*busy_run(), *MANY])
    assert beside == alone
    found = rehearsal([write(tmp_path / "both.jsonl", [*busy_run(), *MANY])])
    assert any("1 other runs" in sentence for sentence in assumptions(found))


def test_what_was_held_back_is_told_with_its_reason(tmp_path: Path):
    """
    Tool by tool, as a replay does.
    """
    told = foretold(tmp_path, idle_run())
    assert told["denied"] == {"shadow": 1}
    assert (told["launched"], told["saved_share"]["value"]) == (0, 0.0)


def test_a_run_without_an_end_counts_as_far_as_it_goes(tmp_path: Path):
    """
    A process that was killed did save what it had saved.
    """
    found = rehearsal([write(tmp_path / "cut.jsonl", [*MANY, *shadow_run("cut", 900.0)[:13]])])
    assert len(found.runs) == 41
    assert found.total("plain") == 160.0 + 2.5
    assert any("1 runs have no end" in sentence for sentence in assumptions(found))


def test_it_does_not_matter_in_which_order_threads_handed_records_out(tmp_path: Path):
    first, *rest = shadow_run()
    assert foretold(tmp_path, [first, *reversed(rest)]) == foretold(tmp_path, [first, *rest])


def test_few_calls_are_no_answer(tmp_path: Path):
    """
    Whatever they would have saved.
    """
    found = rehearsal([write(tmp_path / "few.jsonl", shadow_run())])
    assert not found.pays
    first, *_, last = verdict(found)
    assert first == "Too few calls to say (2 looked at, at least 30 needed): so far it would save 37.5 % of 4 s."
    assert last == "Fewer than 30 calls could be looked at: record more runs before believing any of this."
    assert as_json(found)["verdict"]["too_few"]
    assert not as_json(rehearsal([write(tmp_path / "many.jsonl", MANY)]))["verdict"]["too_few"]


def test_the_interval_is_over_runs(tmp_path: Path):
    """
    Runs that differ widen it.
    """
    half = [
        replace(event, waited_s=event.tool_s) if isinstance(event, events.ShadowStepSettled) else event
        for number in range(40, 80)
        for event in shadow_run(f"s{number}", 10.0 * number)
    ]
    saved = rehearsal([write(tmp_path / "half.jsonl", [*MANY, *half])]).saved
    assert saved.value == pytest.approx(0.1875)
    assert saved.low < saved.value < saved.high


@pytest.mark.parametrize(
    "option",
    [
        ["--policy", "p.toml"],
        ["--compare", "thrift=0,1"],
        ["--tool-latency", "1"],
        ["--train", "0.5"],
        ["-o", "r.html"],
    ],
    ids=lambda option: option[0],
)
def test_what_only_recorded_runs_can_tell_is_refused(option: list[str], log: Path, capsys: pytest.CaptureFixture[str]):
    """
    In one line that says why.
    """
    code, _, err = replay(capsys, log, *option)
    assert code == 2
    assert "holds no arguments, so it answers for its own settings alone" in err


def test_a_log_of_another_level_foretells_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = replay(capsys, write(tmp_path / "events.jsonl", busy_run()))
    assert code == 2
    assert "no run of the log was at the level shadow" in err
    with pytest.raises(TraceError, match="LANGGRAPH_SPECULATE=shadow"):
        rehearsal([tmp_path / "events.jsonl"])


def test_a_broken_log_is_told_with_its_line(log: Path, capsys: pytest.CaptureFixture[str]):
    """
    But a line that was cut off is left out.
    """
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"event": "TurnBeg')
    assert rehearsal([log]).total("plain") == 160.0
    log.write_bytes(whole + b'{"event": "Nothing"}\n')
    with pytest.raises(BadLog, match=f"line {len(MANY) + 1}"):
        rehearsal([log])
    assert replay(capsys, log)[0] == 2


def test_a_packed_log_and_several_are_read(log: Path, tmp_path: Path):
    packed = tmp_path / "more.jsonl.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / "x", shadow_run("more", 900.0)).read_bytes()))
    assert len(rehearsal([log, packed]).runs) == 41


def test_it_is_still_nothing_to_learn_from(log: Path):
    """
    `mine`, `evaluate` and `convert` refuse it as before.
    """
    reasons: list[str] = []
    assert list(read_runs(log, on_skip=lambda skipped: reasons.append(skipped.reason))) == []
    assert reasons == ["event log without arguments"]


def test_what_a_real_graph_wrote_in_shadow_is_answered_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    The figures are those of its own statistics.
    """
    graph = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(World(), "both"))
    with JsonLines(tmp_path / "shadow.jsonl") as written:
        policy = {**NOTEBOOK_POLICY, "level": "shadow"}
        graph = speculate(graph, policy, predictor=Oracle(NOTEBOOK_SCRIPT), observers=[written])
        for way in ("invoke", "astream"):
            drive(graph, way)
        speculation_of(graph).flush()
    shadow = speculation_of(graph).stats().shadow
    (told,) = json.loads(replay(capsys, written.path, "--json")[1])["variants"]
    assert (told["real_calls"], told["hits"], told["wasted"]) == (shadow.real_calls, shadow.hits, shadow.wasted)
    assert told["runs"] == 2
    assert told["plain_s"] - told["ahead_s"] == pytest.approx(shadow.hidden_s, abs=0.002)
