"""`langgraph-speculate replay`: what speculation would have saved on your recordings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from langgraph_speculate.cli.app import Json, SourceOption, TracesArgument, app, fail
from langgraph_speculate.cli.output import check_folder, check_patterns, tell_cut, write

if TYPE_CHECKING:
    from langgraph_speculate.policy import SpeculationPolicy


class KeepApart(StrEnum):
    """What keeps the part to learn from and the part to play separate."""

    task = "task"
    time = "time"


@app.command(
    epilog="Examples: langgraph-speculate replay checkpoints.sqlite; langgraph-speculate replay runs.jsonl --policy "
    "speculate.toml --compare thrift=0,0.5,1; langgraph-speculate replay runs.jsonl --tool-latency get_order=0.3 "
    "--tool-latency 'search_*=lognormal:1.2' --model-pace 2; langgraph-speculate replay runs.jsonl --model-ahead "
    "--token-price 0.25,2; langgraph-speculate replay langsmith:my-project --json"
)
def replay(
    context: typer.Context,
    traces: TracesArgument,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="speculate.toml; left out, tools count as declared if their names only read."
        ),
    ] = None,
    patterns: Annotated[
        Path | None,
        typer.Option(metavar="DB", help="Begin with what mine has learned; runs that it has seen are left out."),
    ] = None,
    tool_latency: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TOOL=]TIME",
            help="0.3 seconds, lognormal:0.3, 2x the model's median step, or recorded; TOOL may be a glob. Repeat it.",
        ),
    ] = None,
    model_pace: Annotated[
        str, typer.Option(metavar="TIME", help="Seconds for each message, lognormal:SECONDS, or recorded.")
    ] = "recorded",
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=V,V", help="Also with other settings: thrift=0,0.5,1, max_per_turn=3,8. May be repeated."
        ),
    ] = None,
    model_ahead: Annotated[
        bool, typer.Option("--model-ahead", help="Also start the model's next calls on remembered results.")
    ] = False,
    token_price: Annotated[
        str | None,
        typer.Option(metavar="IN,OUT", help="What a million tokens cost, read and written: prices what is in vain."),
    ] = None,
    split: Annotated[
        KeepApart, typer.Option(help="Learn from other tasks, or from earlier runs.", case_sensitive=False)
    ] = KeepApart.task,
    train: Annotated[float, typer.Option(min=0, max=0.99, help="Share to learn from before playing the rest.")] = 0.7,
    runs: Annotated[int, typer.Option(min=0, help="The most runs to play; 0 for all.")] = 2_000,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Runs side by side: matters where the policy says slots or rates.")
    ] = 1,
    streaming: Annotated[bool, typer.Option("--streaming/--no-streaming", help="Whether the model streams.")] = True,
    seed: Annotated[int, typer.Option(help="Draws parts, samples, times and intervals.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="REPORT.html", help="Also write a page with charts.")
    ] = None,
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Say before you switch it on what speculation would have saved, on runs that you recorded.

    Learns from one part of the runs and plays the other through the real engine on a virtual clock: the same gate,
    admission, budgets and breakers, with recorded or given times. Ends with a plain answer, the reason for it and the
    assumptions. Nothing is executed, and nothing is sent anywhere.

    Logs that JsonLines wrote at the level shadow are answered from, for the settings that they were written with.
    """
    from langgraph_speculate.errors import TraceError
    from langgraph_speculate.policy import SpeculationPolicy
    from langgraph_speculate.replay.display import show
    from langgraph_speculate.replay.forecast import forecast
    from langgraph_speculate.replay.knowledge import known_to, taught_by
    from langgraph_speculate.replay.method import Method
    from langgraph_speculate.replay.outlook import as_json as described
    from langgraph_speculate.replay.outlook import misspelt
    from langgraph_speculate.replay.page import page
    from langgraph_speculate.replay.times import Times, tool_times
    from langgraph_speculate.traces.display import progress_on, show_skips
    from langgraph_speculate.traces.reader import at_least_one, read_runs
    from langgraph_speculate.traces.runs import Run
    from langgraph_speculate.traces.skips import Skips

    check_folder(output)
    if logs := _logs(traces, source):
        _from_logs(logs, _said(context), seed, as_json)
        return
    method = Method(train=train, by=split.value, runs=runs, concurrency=concurrency, seed=seed, streams=streaming)
    try:
        pace = Times.parse(model_pace)
    except ValueError as error:
        fail(f"--model-pace {model_pace}: takes {error}")
    if pace.kind == "relative":
        fail(f"--model-pace {model_pace}: a multiple of itself; give seconds, lognormal:SECONDS or recorded")
    if patterns is not None:
        check_patterns(patterns)
    settings = None if policy is None else SpeculationPolicy.load(policy)
    notes, skips, first = Console(stderr=True), Skips(), True
    known = known_to(patterns)

    def recordings() -> Iterable[Run]:
        nonlocal first
        told, first = (skips if first else Skips()), False  # every pass skips the same
        known.skipped = 0
        found = at_least_one(read_runs(traces, on_skip=told, source=source), told)
        return (run for run in found if run.id not in known)

    try:
        found = forecast(
            recordings,
            settings,
            method=method,
            model=pace,
            tools=tool_times(tool_latency or ()),
            settings=_settings(model_ahead, token_price),
            compare=_variants(compare or (), settings),
            taught=partial(taught_by, patterns),
            progress=partial(progress_on, notes),
        )
    except TraceError as error:
        left_out = (
            f"; {known.skipped} runs that {patterns} has learned from are left out: give others, or leave --patterns "
            "out, and a part of these is learned from and the rest is played"
        )
        raise TraceError(f"{error}{left_out if known.skipped else ''}") from None
    finally:
        show_skips(skips, notes)
    if known.skipped:
        notes.print(f"{known.skipped} runs that {patterns} has learned from are left out", soft_wrap=True)
    for line in misspelt(found):
        notes.print(Text(f"{policy}: {line}", style="yellow"), soft_wrap=True)
    if output is not None:
        write(output, page(found))
    if as_json:
        typer.echo(json.dumps(described(found), ensure_ascii=False))
    else:
        show(found, Console())


_FOR_LOGS = ("traces", "seed", "source", "as_json")
"""What may be said where event logs are given: they hold no arguments, so there is nothing to play otherwise."""


def _said(context: typer.Context) -> list[str]:
    """The options on the command line that say how to play recorded runs."""
    options = [one for one in context.command.params if one.name is not None and one.name not in _FOR_LOGS]
    sources = {one.opts[0]: context.get_parameter_source(one.name or "") for one in options}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def _logs(traces: Iterable[str], source: str | None) -> list[str]:
    """The files, if all of them are event logs of this library."""
    from langgraph_speculate.traces.lines import Limits
    from langgraph_speculate.traces.readers.sources import is_remote, source_of

    paths = list(traces)
    if source not in (None, "events") or not all(not is_remote(path) and Path(path).is_file() for path in paths):
        return []
    return paths if all(source_of(path, Limits()) == "events" for path in paths) else []


def _from_logs(logs: Iterable[str], said: Iterable[str], seed: int, as_json: bool) -> None:
    """Answer from what runs at the level shadow wrote."""
    from langgraph_speculate.replay.display import show_rehearsal
    from langgraph_speculate.replay.rehearsal import as_json as described
    from langgraph_speculate.replay.rehearsal import rehearsal
    from langgraph_speculate.traces.display import reading_on

    if listed := ", ".join(said):
        fail(
            f"{listed}: an event log holds no arguments, so it answers for its own settings alone; leave that out, or "
            "replay recorded runs (langgraph-speculate report makes a page of a log)"
        )
    cut: list[int] = []
    with reading_on(Console(stderr=True), "reading"):
        found = rehearsal(logs, seed=seed, on_cut=cut.append)
    tell_cut(len(cut))
    if as_json:
        typer.echo(json.dumps(described(found), ensure_ascii=False))
    else:
        show_rehearsal(found, Console())


def _settings(model_ahead: bool, token_price: str | None) -> dict[str, object]:
    """What the command line says instead of the policy."""
    settings: dict[str, object] = {"model_ahead": True} if model_ahead else {}
    if token_price is not None:
        try:
            read, written = map(float, token_price.split(","))
        except ValueError:
            fail(f"--token-price {token_price}: takes two prices of a million tokens, read and written, such as 0.25,2")
        settings["token_prices"] = {"*": {"input": read, "output": written}}
    return settings


_COMPARED: Mapping[str, type[float]] = {"thrift": float, "value_per_second": float}
_LIMITS: Mapping[str, type[int]] = {"max_per_turn": int, "max_in_flight": int}


def _variants(texts: Iterable[str], policy: SpeculationPolicy | None) -> Mapping[str, Mapping[str, object]]:
    """What `thrift=0,0.5,1` or `max_per_turn=3,5` asks for: a variant for each value."""
    found: dict[str, Mapping[str, object]] = {}
    known = {**_COMPARED, **_LIMITS}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in known:
            fail(f"--compare {text}: compares {', '.join(known)}, such as thrift=0,0.5,1")
        for value in values.split(","):
            try:
                number = known[name](value)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                fail(f"--compare {text}: {value!r} is no {'whole ' if name in _LIMITS else ''}number")
            if name in _LIMITS:
                found.update([_limited(name, int(number), policy)])
            else:
                found[f"{name}={value.strip()}"] = {name: number}
    return found


def _limited(name: str, value: int, policy: SpeculationPolicy | None) -> tuple[str, Mapping[str, object]]:
    """A variant with another limit; more guesses of one message are of no use unless as many may run at one time."""
    from langgraph_speculate.policy import Limits

    limits = Limits() if policy is None else policy.limits
    differs = {name: value}
    if name == "max_per_turn" and value > limits.max_in_flight:
        differs["max_in_flight"] = value
    label = ", ".join(f"{limit}={number}" for limit, number in differs.items())
    return label, {"limits": replace(limits, **differs)}
