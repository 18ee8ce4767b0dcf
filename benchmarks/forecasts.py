"""Whether `langgraph-speculate replay` and the level `shadow` foretell what happens, next to the same runs for real.

    python -m benchmarks.forecasts ../shared/traces/taubench_airline.jsonl.gz --tool-latency 1x,2.7x

All learn from the same tasks and play the same runs of the others, with the same times. The agents run LangGraph, our
engine and tools in virtual time (`benchmarks.recorded --virtual`), or with `--real-time` a model server, too: one of
them at the level `declared`, which is what is foretold, and one at the level `shadow`, which runs nothing ahead.

With `--model-ahead` it is what starting the model's next calls on remembered results saves, alone and beside tools.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.recorded import Latency, Material, Settings, declared_in, measure, prepare
from benchmarks.script import ModelPace, split_by_effect
from benchmarks.variants import AHEAD, NOTHING, ORACLE, OURS, WITH_AHEAD, Declared
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.replay.forecast import Forecast, forecast
from langgraph_speculate.replay.method import Method
from langgraph_speculate.replay.outlook import figures
from langgraph_speculate.replay.times import Times
from langgraph_speculate.traces import read_runs

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_STEP_S = 0.4
_PRICES = {"token_prices": {"*": {"input": 0.25, "output": 2.0}}}
SHADOW = "shadow"


def compared(
    path: Path, latency: Latency, seed: int, *, real_time: bool, runs: int, declared: Declared = NOTHING
) -> dict[str, Any]:
    """The forecast for one file, and what was measured."""
    tool_s = latency.seconds(_STEP_S)
    settings = replace(
        _settings(tool_s, seed, runs, declared),
        variants=(OURS, ORACLE),
        virtual=not real_time,
        ours={OURS: {}, SHADOW: {"level": "shadow"}},
    )
    material = prepare(path, settings)
    measured = measure(material, settings, lambda _: None)
    played = {script.id for script in material.scripts}
    found = forecast_of(path, material, settings)
    told = figures(found.variants[0])
    ours, oracle, shadow = (measured["variants"][name] for name in (OURS, ORACLE, SHADOW))
    foretold = shadow["shadow"]["hidden_s"] / shadow["total_s"]
    return {
        "set": material.name,
        "tool_latency_s": tool_s,
        "runs": len(played),
        "forecast": {"saved": told["saved_share"]["value"], "perfect": told["oracle_share"]["value"]},
        "interval": told["saved_share"]["interval"],
        "measured": {"saved": ours["saved_share"], "perfect": oracle["saved_share"]},
        "shadow": {"saved": foretold, "cost": -shadow["saved_share"]},
        **{
            name: {"forecast": told[name], "shadow": shadow["shadow"][name], "measured": ours[name]}
            for name in ("hits", "wasted", "wasted_s")
        },
        "off_by": abs(told["saved_share"]["value"] - ours["saved_share"]),
        "shadow_off_by": abs(foretold - ours["saved_share"]),
        "allowed": max(0.1 * ours["saved_share"], 0.01),
    }


def previews_compared(
    path: Path, latency: Latency, seed: int, *, runs: int, declared: Declared = NOTHING
) -> dict[str, Any]:
    """The forecast of `model_ahead` for one file, alone and beside tools that run ahead, and what was measured."""
    tool_s = latency.seconds(_STEP_S)
    settings = replace(_settings(tool_s, seed, runs, declared), variants=(AHEAD, WITH_AHEAD), previews=_PRICES)
    material = prepare(path, settings)
    measured = measure(material, settings, lambda _: None)["variants"]
    row: dict[str, Any] = {"set": material.name, "tool_latency_s": tool_s, "runs": len(material.scripts)}
    for name, limits in ((AHEAD, {"max_in_flight": 0}), (WITH_AHEAD, {})):
        found = forecast_of(path, material, settings, settings.concurrency, limits=limits, model_ahead=True, **_PRICES)
        told, seen = figures(found.variants[0]), measured[name]
        row[name] = {
            "saved": {"forecast": told["saved_share"]["value"], "measured": seen["saved_share"]},
            "used": {"forecast": told["previews"]["used"], "measured": seen["previews_used"]},
            "began": {"forecast": told["previews"]["began"], "measured": seen["previews_began"]},
            "tokens": {"forecast": told["previews"]["wasted_tokens"], "measured": seen["wasted_tokens"]},
            "interval": seen["saved_share_interval"],
            "off_by": abs(told["saved_share"]["value"] - seen["saved_share"]),
            "allowed": max(0.1 * seen["saved_share"], 0.01),
        }
    return row


def forecast_of(path: Path, material: Material, settings: Settings, concurrency: int = 1, **policy: Any) -> Forecast:
    """The forecast of the runs that are measured, learned from those that the agents learned from.

    *concurrency* matters to previews: so many may run at one instant for all runs together.
    """
    by_id = {run.id: run for run in split_by_effect(list(read_runs(path)))[0]}
    every = [*material.train, *(by_id[script.id] for script in material.scripts)]  # breakers ask for the same order
    tools = {
        name: {"read_only": reads, **settings.declared.get(name, {}), "shared_results": True}
        for name, reads in material.reading.items()
    }
    return forecast(
        lambda: iter(every),
        SpeculationPolicy(tools=tools, partition_by=("thread_id",), **policy),  # type: ignore[arg-type]
        method=Method(
            by="time", train=len(material.train) / len(every), seed=settings.seed, runs=0, concurrency=concurrency
        ),
        model=Times("fixed", _STEP_S),
        tools=[("*", Times("fixed", material.latency_s))],
    )


def _settings(tool_s: float, seed: int, runs: int, declared: Declared) -> Settings:
    return Settings(
        pace=ModelPace("fixed", _STEP_S),
        tool_latency_s=tool_s,
        runs=runs,
        seed=seed,
        concurrency=4,
        sync=False,
        frozen=False,
        variants=(),
        virtual=True,
        declared=declared,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; 1 when a forecast was further off than allowed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecasts", description=_FIRST_LINE)
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACES", help="files of trace lines")
    parser.add_argument("--tool-latency", default="1x", metavar="S,…", help="seconds, or multiples of 0.4 s (1x)")
    parser.add_argument("--runs", type=int, default=0, help="the most runs to play (0: all)")
    parser.add_argument("--seed", type=int, default=0, help="draws the split (0)")
    parser.add_argument("--real-time", action="store_true", help="measure with a model server and real waits")
    parser.add_argument(
        "--declared", type=declared_in, default={}, metavar="FILE", help="as of `python -m benchmarks.recorded`"
    )
    parser.add_argument("--model-ahead", action="store_true", help="compare what model calls save that start ahead")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    given = parser.parse_args(arguments)
    asked = [(path, Latency.parse(text)) for path in given.traces for text in given.tool_latency.split(",")]
    how = {"runs": given.runs, "declared": given.declared}
    if given.model_ahead:
        return _tell_previews([previews_compared(*one, given.seed, **how) for one in asked], given.json)
    rows = [compared(*one, given.seed, real_time=given.real_time, **how) for one in asked]
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        print("\n".join(_table(rows)))
    return int(any(max(row["off_by"], row["shadow_off_by"]) > row["allowed"] for row in rows))


def _tell_previews(rows: Sequence[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print("Forecast and measured: saved %, previews used of those that began, tokens in vain")
    for row, name in ((row, name) for row in rows if not as_json for name in (AHEAD, WITH_AHEAD)):
        told = row[name]
        cells = (
            f"{told['saved'][who] * 100:5.2f} {told['used'][who]:4} of {told['began'][who]:3} {told['tokens'][who]:7}"
            for who in ("forecast", "measured")
        )
        print(f"{row['set']:18} {row['tool_latency_s']:5.2f} {name:12} {' | '.join(cells)}")
    return int(any(row[name]["off_by"] > row[name]["allowed"] for row in rows for name in (AHEAD, WITH_AHEAD)))


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Three figures in a cell are what replay foretells, what shadow does, and what was measured."""
    yield (
        f"{'set':18} {'tool s':>6} {'runs':>4} {'saved %':>18} {'off by':>11} {'allowed':>7} {'hits':>13} "
        f"{'in vain':>13} {'seconds in vain':>20}"
    )
    for row in rows:
        saved = [row[name]["saved"] * 100 for name in ("forecast", "shadow", "measured")]
        errors = [row[name] * 100 for name in ("off_by", "shadow_off_by")]
        cells = (
            f"{_cell(saved, '.2f'):>18}",
            f"{_cell(errors, '.2f'):>11}",
            f"{row['allowed'] * 100:7.2f}",
            f"{_cell(row['hits'].values()):>13}",
            f"{_cell(row['wasted'].values()):>13}",
            f"{_cell(row['wasted_s'].values(), '.1f'):>20}",
        )
        yield f"{row['set']:18} {row['tool_latency_s']:6.2f} {row['runs']:4} {' '.join(cells)}"


def _cell(figures: Iterable[float], how: str = "d") -> str:
    return " ".join(format(figure, how) for figure in figures)


if __name__ == "__main__":
    sys.exit(main())
