"""Three turns with one call each: where starting a call early gains nothing, and predicting it is all there is to gain.

    python -m benchmarks.three_turns

The model takes 0.9 s for each message, the tool 0.8 s, and the predictor is never wrong: what is measured is the
engine. Ideal is the sum of max(model, tool) over the turns and the final answer.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_openai import ChatOpenAI

from benchmarks.command import rounds_parser, show
from benchmarks.performance import Performance, aperform, perform
from benchmarks.progress import progress
from benchmarks.script import Player, RecordedCall, Script, Step
from benchmarks.surroundings import undisturbed
from benchmarks.variants import EAGER, EAGER_INSTALLED, OURS, PLAIN, Oracle, eager_agent, plain_agent, speculating_agent
from benchmarks.world import World, recorded_tools
from langgraph_speculate.core import Call
from langgraph_speculate.demo.loopback import LoopbackServer

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_READING = {"look_up": True}


def three_turns(model_s: float) -> Script:
    """Three questions to one tool, then the answer."""
    calls = [RecordedCall(f"call_{n}", Call("look_up", {"key": f"K-{n}"}), f"go on with K-{n + 1}") for n in range(3)]
    steps = [Step("", (call,), seconds=model_s) for call in calls]
    answer = Step("K-3 is the last.", seconds=model_s)
    return Script("three-turns", (*steps, answer), (({"role": "user", "content": "Follow K-0."},),))


def ideal_s(model_s: float, tool_s: float) -> float:
    """What remains when each call runs while the model writes it, and must end before the next message begins."""
    return 3 * max(model_s, tool_s) + model_s


def measure(model_s: float, tool_s: float, rounds: int, *, quiet: bool) -> dict[str, Any]:
    """Median seconds of each agent, sync and async, in turns."""
    script = three_turns(model_s)
    player = Player({script.id: script})
    rows: dict[str, dict[str, list[Performance]]] = {}
    with undisturbed(), LoopbackServer(player) as server:
        tools = recorded_tools([script], _READING)
        key: Any = "none"
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key=key, streaming=True)
        graphs = {PLAIN: plain_agent(model, tools), OURS: speculating_agent(model, tools, _READING, Oracle())}
        if EAGER_INSTALLED:
            graphs[EAGER] = eager_agent(model, tools, _READING)
        with progress("three turns", 2 * (rounds + 1), quiet=quiet) as tell:

            def world() -> World:
                return World(script, _READING, tool_s)

            async def all_async() -> dict[str, list[Performance]]:
                done: dict[str, list[Performance]] = {name: [] for name in graphs}
                for _ in range(rounds + 1):
                    for at, (name, graph) in enumerate(graphs.items()):
                        done[name].append(await aperform(graph, script, world(), f"{at}{script.id}"))
                    tell("async")
                return done

            def all_sync() -> dict[str, list[Performance]]:
                done: dict[str, list[Performance]] = {name: [] for name in graphs if name != EAGER}
                for _ in range(rounds + 1):
                    for at, name in enumerate(done):
                        done[name].append(perform(graphs[name], script, world(), f"{at}{script.id}"))
                    tell("sync")
                return done

            rows = {"async": asyncio.run(all_async()), "sync": all_sync()}
    ideal = ideal_s(model_s, tool_s)
    report: dict[str, Any] = {"model_s": model_s, "tool_s": tool_s, "rounds": rounds, "ideal_s": ideal}
    for interface, done in rows.items():
        base = statistics.median(it.seconds for it in done[PLAIN][1:])
        report[interface] = {
            name: {
                "median_s": (median := statistics.median(it.seconds for it in performances[1:])),
                "speedup": base / median,
                "over_ideal": median / ideal - 1,
                "identical": sum(
                    it.transcript == plain.transcript and it.writes == plain.writes
                    for it, plain in zip(performances[1:], done[PLAIN][1:], strict=True)
                ),
                "first_error": next((it.error for it in performances if it.error), None),
            }
            for name, performances in done.items()
        }
    return report


def table(report: dict[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield (
        f"model {report['model_s']:g} s, tool {report['tool_s']:g} s, median of {report['rounds']}; "
        f"ideal {report['ideal_s']:.2f} s"
    )
    yield f"{'':6} {'':12} {'seconds':>8} {'speed-up':>8} {'over ideal':>10}  identical transcripts"
    for interface in ("async", "sync"):
        for name, f in report[interface].items():
            yield (
                f"{interface:6} {name:12} {f['median_s']:8.3f} {f['speedup']:8.2f} {f['over_ideal'] * 100:8.1f} %"
                f"  {f['identical']}/{report['rounds']}{'  ' + f['first_error'] if f['first_error'] else ''}"
            )


def main(argv: Sequence[str] | None = None) -> int:
    parser = rounds_parser("three_turns", _FIRST_LINE, rounds=5)
    parser.add_argument("--model", type=float, default=0.9, help="seconds of each message (default 0.9)")
    parser.add_argument("--tool", type=float, default=0.8, help="seconds of each call (default 0.8)")
    options = parser.parse_args(argv)
    report = measure(options.model, options.tool, options.rounds, quiet=options.quiet)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
