"""What speculation saves on recorded runs, played again through a real agent, model client and tools.

    python -m benchmarks.recorded ../shared/traces/taubench_airline.jsonl.gz --runs 24

A server on loopback streams the recorded messages of the model to `ChatOpenAI`, tools answer from the recording after
a delay, and `create_agent` runs the loop. Learned from 70 % of the tasks, measured on runs of the others: the plain
agent, ours, ours with an oracle, ours with a predictor that is always wrong, and eager-tools-langgraph, in turns.

`--variant 'model ahead' --variant both` measure what the model's next calls save that are started on what tools
answered in the training part, alone and beside ours.

With `--virtual` nobody waits: the model is in this process and time is virtual, so that many settings can be compared:

    python -m benchmarks.recorded FILE --virtual --tool-latency 1x,0.33x,2.7x --thrift 0,0.5,1
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI

from benchmarks.figures import set_report, table
from benchmarks.guesses import Guesses
from benchmarks.performance import Performance, aperform, perform
from benchmarks.progress import progress
from benchmarks.script import ModelPace, Player, Script, Step, middle_step_s, reading_tools, script_of, split_by_effect
from benchmarks.surroundings import undisturbed
from benchmarks.traces import Run, read, split
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
    AlwaysWrong,
    Declared,
    Frozen,
    Oracle,
    eager_agent,
    plain_agent,
    previewing_agent,
    speculating_agent,
    taught_by,
)
from benchmarks.virtual import InProcessModel, in_virtual_time
from benchmarks.world import World, recorded_tools
from langgraph_speculate import SpeculationPolicy, speculation_of
from langgraph_speculate.core import Predictor
from langgraph_speculate.demo.loopback import LoopbackServer
from langgraph_speculate.errors import PolicyError
from langgraph_speculate.observe.observers import at_once
from langgraph_speculate.observe.stats import Stats

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_PREVIEWING = (AHEAD, WITH_AHEAD, DELUDED)
_WARM_UP = Script("warm-up", (Step("ready"),), (({"role": "user", "content": "ready?"},),))


@dataclass(frozen=True)
class Latency:
    """How long a tool takes: `0.4` seconds, or `2.7x` the model's median step.

    >>> Latency.parse("2.7x").seconds(0.4)
    1.08
    """

    amount: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Latency:
        """Read what the command line says; a ValueError says what it should."""
        number = text.removesuffix("x")
        pace = ModelPace.parse(number)
        if pace.kind != "fixed":
            raise ValueError(f"seconds, or a multiple of the model's median step such as 2.7x, not {text!r}")
        return cls(pace.median_s, relative=number != text)

    def seconds(self, step_s: float) -> float:
        """Beside a model whose median step takes *step_s*."""
        return round(self.amount * step_s, 6) if self.relative else self.amount


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        pace: Of the model.
        tool_latency_s: Seconds of every tool; None: the model's median step.
        runs: How many test runs; 0 for all.
        seed: Draws the split, the sample and the pace.
        concurrency: Runs played side by side.
        sync: Through `invoke` instead of `ainvoke`.
        frozen: The predictor stops learning where the test part begins.
        variants: Which agents, besides the plain one.
        virtual: In virtual time, without a server.
        previews: Settings of the policies of agents that start model calls ahead.
        ours: What our agents are called, with the settings of their policies.
        declared: What the policy says of tools, by name, besides whether they only read.
    """

    pace: ModelPace
    tool_latency_s: float | None
    runs: int
    seed: int
    concurrency: int
    sync: bool
    frozen: bool
    variants: tuple[str, ...]
    virtual: bool = False
    previews: Mapping[str, Any] = field(default_factory=dict)
    ours: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {OURS: {}})
    declared: Declared = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """One file of recordings, made ready to be played.

    Attributes:
        step_s: The model's median step.
        latency_s: Seconds of every tool.
    """

    name: str
    train: list[Run]
    scripts: list[Script]
    every_script: list[Script]
    reading: Mapping[str, bool]
    step_s: float
    latency_s: float
    notes: list[str]


def prepare(path: Path, settings: Settings) -> Material:
    """Read a file, split it by task, and write the scripts of the sample to be tested.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else than recordings, or too few tasks.
    """
    runs = _read(path)
    runs, both = split_by_effect(runs)
    reading = reading_tools(runs)
    train, test = split(runs, settings.seed)
    if not train or not test:
        raise ValueError(f"{path}: needs runs of at least two tasks, to learn from some and test on the others")
    notes = [
        f"{name}: split by what the recorded command does; the policy has no rules for arguments yet" for name in both
    ]
    playable = [script for run in test if (script := script_of(run)) is not None]
    if len(playable) < len(test):
        notes.append(f"{len(test) - len(playable)} test runs open with a call before anybody spoke and are left out")
    draw = random.Random(settings.seed)
    sample = draw.sample(playable, settings.runs) if 0 < settings.runs < len(playable) else playable
    if not sample:
        raise ValueError(f"{path}: no run of the test part can be played")
    scripts = [settings.pace.paced(script, settings.seed) for script in sample]
    if not middle_step_s(scripts) and settings.pace.kind == "recorded":
        raise ValueError(f"{path}: has no recorded model times; give --model-pace in seconds")
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    every = [script for run in runs if (script := script_of(run)) is not None]
    step_s = middle_step_s(scripts)
    latency_s = step_s if settings.tool_latency_s is None else settings.tool_latency_s
    return Material(name, train, scripts, every, reading, step_s, latency_s, notes)


def measure(material: Material, settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play every script of *material* through every agent, and report."""
    train_ids = {run.id for run in material.train}
    seen = [script for script in material.every_script if script.id in train_ids]
    declared = settings.declared
    others: dict[str, Predictor] = {ORACLE: Oracle(), WRONG: AlwaysWrong(seen, material.reading)}

    def graphs(model: BaseChatModel, tools: Sequence[BaseTool]) -> dict[str, Any]:
        made = {PLAIN: plain_agent(model, tools)}
        for name, policy in settings.ours.items() if OURS in settings.variants else ():
            predictor = taught(material, settings)
            made[name] = speculating_agent(model, tools, material.reading, predictor, declared=declared, **policy)
        for name in settings.variants:
            if name in others:
                made[name] = speculating_agent(model, tools, material.reading, others[name], declared=declared)
            elif name in _PREVIEWING:
                made[name] = previewing_agent(
                    model, tools, material.reading, taught(material, settings), material.train, declared=declared,
                    alone=name != WITH_AHEAD, wrong=name == DELUDED, **settings.previews,
                )  # fmt: skip
            elif name == EAGER:
                made[name] = eager_agent(model, tools, material.reading)
        return made

    return compare(material, settings, graphs, tell)


def taught(material: Material, settings: Settings) -> Predictor:
    """The shipped predictor, having learned from the training part."""
    predictor = taught_by(material.train)
    return Frozen(predictor) if settings.frozen else predictor


def compare(
    material: Material,
    settings: Settings,
    make: Callable[[BaseChatModel, Sequence[BaseTool]], Mapping[str, Any]],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Play every script of *material* through the graphs that *make* makes by name, the plain one first."""
    tools = recorded_tools(material.every_script, material.reading)
    player = Player({script.id: script for script in (*material.scripts, _WARM_UP)})
    with undisturbed(), _model(player, settings) as model:
        graphs = make(model, tools)
        handles = {name: speculation_of(graph) for name, graph in graphs.items() if name not in (PLAIN, EAGER)}
        guesses = {name: Guesses() for name in handles}
        for name, handle in handles.items():
            handle.events(at_once(guesses[name].see))
        try:
            played = _play(_Stage(material, settings, graphs, tell), settings)
            stats = {name: handle.stats() for name, handle in handles.items()}
        finally:
            for handle in handles.values():
                handle.close()
    return _report(material, list(graphs), played, stats, guesses, player)


@contextmanager
def _model(player: Player, settings: Settings) -> Iterator[BaseChatModel]:
    """The model that plays the recordings: behind a server, or in this process."""
    if settings.virtual:
        yield InProcessModel(respond=player, streaming=True)
        return
    with LoopbackServer(player) as server:
        key: Any = "none"
        yield ChatOpenAI(model="recorded", base_url=server.base_url, api_key=key, streaming=True)


def _play(stage: _Stage, settings: Settings) -> list[dict[str, Performance]]:
    if settings.sync:
        return stage.play()
    return in_virtual_time(stage.aplay(), settings.seed) if settings.virtual else asyncio.run(stage.aplay())


class _Stage:
    """Where the performances of one file happen."""

    def __init__(
        self, material: Material, settings: Settings, graphs: Mapping[str, Any], tell: Callable[[str], None]
    ) -> None:
        self._material = material
        self._settings = settings
        self._graphs = graphs
        self._tell = tell

    def play(self) -> list[dict[str, Performance]]:
        """Every script through every agent, one after the other."""
        for name, graph in self._graphs.items():
            perform(graph, _WARM_UP, self._world(_WARM_UP), self._name(name, _WARM_UP))
        return [
            self._told(
                {
                    name: perform(self._graphs[name], script, self._world(script), self._name(name, script))
                    for name in self._order(index)
                }
            )
            for index, script in enumerate(self._material.scripts)
        ]

    async def aplay(self) -> list[dict[str, Performance]]:
        """Every script through every agent; the agents of one script in turns, scripts side by side as set."""
        for name, graph in self._graphs.items():
            await aperform(graph, _WARM_UP, self._world(_WARM_UP), self._name(name, _WARM_UP))
        places = asyncio.Semaphore(self._settings.concurrency)

        async def one(index: int, script: Script) -> dict[str, Performance]:
            async with places:
                return self._told(
                    {
                        name: await aperform(self._graphs[name], script, self._world(script), self._name(name, script))
                        for name in self._order(index)
                    }
                )

        return list(await asyncio.gather(*(one(*pair) for pair in enumerate(self._material.scripts))))

    def _order(self, index: int) -> list[str]:
        """Who goes first changes, so that nobody gains by it."""
        names = list(self._graphs)
        start = index % len(names)
        return names[start:] + names[:start]

    def _world(self, script: Script) -> World:
        return World(script, self._material.reading, self._material.latency_s)

    def _name(self, variant: str, script: Script) -> str:
        # One character whatever the variant: the length of the request counts as usage.
        return f"{list(self._graphs).index(variant)}{script.id}"

    def _told(self, performances: dict[str, Performance]) -> dict[str, Performance]:
        self._tell(", ".join(f"{name} {it.seconds:.2f} s" for name, it in performances.items()))
        return performances


def _report(
    material: Material,
    names: Sequence[str],
    played: list[dict[str, Performance]],
    stats: Mapping[str, Stats],
    guesses: Mapping[str, Guesses],
    player: Player,
) -> dict[str, Any]:
    same_requests = {
        name: sum(
            player.requests[f"{at}{script.id}"] == player.requests[f"0{script.id}"] for script in material.scripts
        )
        for at, name in enumerate(names)
    }
    ideal_s = sum(script.model_s + script.tool_steps * material.latency_s for script in material.scripts)
    about = {
        "set": material.name,
        "train_runs": len(material.train),
        "test_runs": len(material.scripts),
        "tools": {name: "reads" if reads else "writes" for name, reads in material.reading.items()},
        "tool_latency_s": material.latency_s,
        "notes": material.notes,
    }
    return about | set_report(played, stats, guesses, same_requests, ideal_s)


def _read(path: Path) -> list[Run]:
    runs = read([path])
    if not runs:
        raise ValueError(f"{path}: holds no runs")
    return runs


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorded", description=_FIRST_LINE)
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACES", help="files of trace lines")
    parser.add_argument(
        "--model-pace", type=_pace, default="0.4", metavar="PACE",
        help="seconds for each message (default 0.4), lognormal:MEDIAN, or recorded",
    )  # fmt: skip
    parser.add_argument(
        "--tool-latency", type=_latencies, default="1x", metavar="S,…",
        help="seconds of every tool, or multiples of the model's median step such as 2.7x, each measured apart"
        " (default 1x)",
    )  # fmt: skip
    parser.add_argument("--runs", type=_count, default=24, help="runs of the test part to play (default 24; 0: all)")
    parser.add_argument("--seed", type=int, default=0, help="draws the split, the sample and the pace (default 0)")
    parser.add_argument("--concurrency", type=_count, default=4, help="runs played side by side (default 4)")
    parser.add_argument("--sync", action="store_true", help="use the sync interface, without eager-tools")
    parser.add_argument("--virtual", action="store_true", help="in virtual time, with the model in this process")
    parser.add_argument("--thrift", type=_thrifts, metavar="T,…", help="compare ours at these, such as 0,0.5,1")
    parser.add_argument("--frozen", action="store_true", help="stop learning where the test part begins")
    parser.add_argument(
        "--variant",
        action="append",
        choices=[OURS, ORACLE, WRONG, *_PREVIEWING, EAGER],
        help=f"default: all that can run, but for {', '.join(_PREVIEWING)}",
    )
    parser.add_argument(
        "--token-price", type=_token_price, metavar="IN,OUT",
        help="what a million tokens cost where model calls start ahead (default: the policy's, of a dear model)",
    )  # fmt: skip
    parser.add_argument(
        "--declared", type=declared_in, default={}, metavar="FILE",
        help="a policy file that says what each tool reads and writes, such as benchmarks/policies/airline.toml",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _pace(text: str) -> ModelPace:
    try:
        return ModelPace.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _latencies(text: str) -> tuple[Latency, ...]:
    try:
        return tuple(Latency.parse(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def declared_in(text: str) -> Declared:
    """What a policy file says of tools, by name; an `ArgumentTypeError` says what is wrong with it."""
    try:
        SpeculationPolicy.from_toml(text)
        tools: dict[str, dict[str, Any]] = tomllib.loads(Path(text).read_text("utf-8")).get("tools", {})
    except (OSError, PolicyError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return tools


def _token_price(text: str) -> dict[str, Any]:
    read, written = (float(part) for part in text.split(","))
    return {"token_prices": {"*": {"input": read, "output": written}}}


def _thrifts(text: str) -> dict[str, Mapping[str, Any]]:
    """Our agents, by what they are called."""
    return {f"{OURS} t{number}": {"thrift": float(number)} for number in text.split(",")}


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number, not {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    parser = _arguments()
    options = parser.parse_args(argv)
    if options.sync and options.virtual:
        parser.error("--virtual is for the async interface")
    peer = [EAGER] if EAGER_INSTALLED and not (options.sync or options.virtual) else []
    everyone = [OURS, ORACLE, WRONG, *peer]
    chosen = tuple(name for name in options.variant or everyone if name in (*everyone, *_PREVIEWING))
    settings = Settings(
        options.model_pace, None, options.runs, options.seed, max(options.concurrency, 1), options.sync,
        options.frozen, chosen, options.virtual, options.token_price or {}, options.thrift or {OURS: {}},
        options.declared,
    )  # fmt: skip
    try:
        materials = [prepare(path, settings) for path in options.traces]
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    reports = []
    for material, latency in product(materials, options.tool_latency):
        with progress(material.name, len(material.scripts), quiet=options.quiet) as tell:
            timed = replace(material, latency_s=latency.seconds(material.step_s))
            reports.append(measure(timed, settings, tell))
        if not options.json:
            print("\n".join(table(reports[-1])), flush=True)
    if options.json:
        print(json.dumps({"development_data": True, "seed": settings.seed, "sync": settings.sync, "sets": reports}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
