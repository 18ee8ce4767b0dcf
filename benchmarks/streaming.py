"""Calls that the model has written before its message ends: what starting them at once gains, and what foreseeing them.

    python -m benchmarks.streaming

A message with two calls takes 2.14 s: the first is complete after 1.05 s, the second after 2.10 s, then nothing but the
end is to come. The answer comes at once. Nothing predicts in *eager start*; the *oracle* names both calls when the
message begins. The bound is that of starting each call when its arguments are complete on the wire:

    max(end of the message, completion of each call + its tool's time) + the answer

Every agent has two middleware that set a parameter of the model's requests each, one on either side of the peer's own:
the server compares what each agent asks with what the plain one asks.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_openai import ChatOpenAI

from benchmarks.command import rounds_parser, show
from benchmarks.performance import Performance, aperform, perform
from benchmarks.progress import Tell, progress
from benchmarks.script import Player, RecordedCall, Script, Step
from benchmarks.surroundings import undisturbed
from benchmarks.variants import (
    EAGER,
    EAGER_INSTALLED,
    ORACLE,
    PLAIN,
    Oracle,
    eager_agent,
    plain_agent,
    speculating_agent,
)
from benchmarks.wire import completions, differences
from benchmarks.world import World, recorded_tools
from langgraph_speculate.core import Call
from langgraph_speculate.demo.loopback import LoopbackServer, Sent
from langgraph_speculate.predict import Never

_FIRST_LINE = (__doc__ or "").split("\n")[0]
EAGER_START = "eager start"
CALL_S, TAIL_S, ANSWER_S = 1.05, 0.04, 0.0
CASES: Mapping[str, tuple[float, ...]] = {
    "slow first": (1.0, 0.1),
    "equal": (0.5, 0.5),
    "slow last": (0.1, 1.0),
    "both long": (2.0, 2.0),
    "single": (1.0,),
}
"""Seconds of the tools, in the order of the calls."""
OVER_BOUND: Mapping[str, float] = {"equal": 0.02, "slow last": 0.02, "single": 0.02}
SPEEDUP: Mapping[str, float] = {"slow first": 1.40}
"""What eager start has to reach; the rest is told without a verdict."""
_TOOLS = ("find_flights", "find_hotels")
_QUERY = (
    "somewhere quiet by the sea, not further than three hours, for two adults and a child, in the first week of May"
)


@dataclass(frozen=True)
class Schedule:
    """When things can happen at best, in seconds after the request of the message.

    Attributes:
        complete_s: When the arguments of each call are complete.
        end_s: When the message ends.
        tool_s: How long each call takes.
        answer_s: How long the message after the calls takes.

    >>> pair = Schedule((1.0, 2.0), 2.1, (1.5, 0.5), 0.1)
    >>> pair.plain_s, pair.bound_s, pair.foreseen_s
    (3.7, 2.6, 2.2)
    """

    complete_s: tuple[float, ...]
    end_s: float
    tool_s: tuple[float, ...]
    answer_s: float

    @property
    def plain_s(self) -> float:
        """All calls start when the message has ended."""
        return self.end_s + max(self.tool_s) + self.answer_s

    @property
    def bound_s(self) -> float:
        """Each call starts when its arguments are complete."""
        started = zip(self.complete_s, self.tool_s, strict=True)
        return max(self.end_s, *(complete + tool for complete, tool in started)) + self.answer_s

    @property
    def foreseen_s(self) -> float:
        """All calls start with the message."""
        return max(self.end_s, *self.tool_s) + self.answer_s

    @classmethod
    def of(cls, message: Sent, answer: Sent, tool_s: tuple[float, ...]) -> Schedule:
        """As the server's pace has it."""
        due = [due - message.arrived for due in message.due]
        complete = tuple(completions(message.deltas, due))
        return cls(complete, message.end_due - message.arrived, tool_s, answer.end_due - answer.arrived)


@dataclass(frozen=True)
class Take:
    """One performance, with what went over the wire in it.

    Attributes:
        began: When the first body of each call began, on the server's clock, or None.
    """

    performance: Performance
    requests: list[dict[str, Any]]
    sent: list[Sent]
    began: Sequence[float | None]

    @property
    def late_s(self) -> float:
        """How much later than due the latest piece went out."""
        return max((at - due for sent in self.sent for at, due in zip(sent.at, sent.due, strict=False)), default=0.0)

    @property
    def starts_ms(self) -> list[float | None]:
        """How long after each call was complete on the wire its tool's body began; less than 0 if it was foreseen."""
        complete = completions(self.sent[0].deltas, self.sent[0].at) if self.whole else []
        pairs = zip(self.began, complete, strict=False)
        return [None if began is None else (began - at) * 1e3 for began, at in pairs]

    @property
    def whole(self) -> bool:
        """Whether the message with the calls went out to its end."""
        return bool(self.sent) and len(self.sent[0].at) == len(self.sent[0].deltas)


class Setting(AgentMiddleware[Any, Any]):
    """Sets one parameter of the model's requests, so that the server sees whether it was asked."""

    def __init__(self, parameter: str, value: Any) -> None:
        super().__init__()
        self._setting = {parameter: value}

    @property
    def name(self) -> str:
        return f"Setting {next(iter(self._setting))}"

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        return handler(self._set(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(self._set(request))

    def _set(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        return request.override(model_settings={**request.model_settings, **self._setting})


def script_of(calls: int, scale: float) -> Script:
    """A message with so many calls, each as long on the wire as the other, and an answer."""
    made = [RecordedCall(f"call_{tool}", Call(tool, {"query": _QUERY}), f"{tool}: three") for tool in _TOOLS[:calls]]
    message = Step("", tuple(made), seconds=calls * CALL_S * scale, tail_s=TAIL_S * scale)
    answer = Step("Take the second.", seconds=ANSWER_S * scale)
    return Script("streaming", (message, answer), (({"role": "user", "content": "Where could we go?"},),))


def agents(server: LoopbackServer, script: Script) -> dict[str, Any]:
    """The agents to compare, all with the same model, tools, prompt and middleware."""
    reading = {recorded.call.name: True for recorded in script.steps[0].calls}
    tools = recorded_tools([script], reading)
    key: Any = "none"
    model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key=key, streaming=True)
    middleware = [Setting("seed", 7), Setting("user", "mia")]
    graphs = {
        PLAIN: plain_agent(model, tools, middleware),
        EAGER_START: speculating_agent(model, tools, reading, Never(), middleware),
        ORACLE: speculating_agent(model, tools, reading, Oracle(), middleware),
    }
    if EAGER_INSTALLED:
        graphs[EAGER] = eager_agent(model, tools, reading, middleware)
    return graphs


def takes(case: str, scale: float, rounds: int, tell: Tell) -> tuple[dict[str, list[Take]], dict[str, list[Take]]]:
    """Async and sync, of each agent, who play in turns: a round to warm up, and the others."""
    script = script_of(len(CASES[case]), scale)
    names = [recorded.call.name for recorded in script.steps[0].calls]
    reading, latency_of = dict.fromkeys(names, True), dict(zip(names, _scaled(case, scale), strict=True))
    with LoopbackServer(Player({script.id: script})) as server:
        graphs = agents(server, script)

        def world() -> World:
            server.requests.clear()
            server.sent.clear()
            return World(script, reading, 0.0, latency_of=latency_of)

        def taken(performance: Performance, played: World) -> Take:
            return Take(performance, list(server.requests), list(server.sent), _began(played, names))

        async def all_async() -> dict[str, list[Take]]:
            done: dict[str, list[Take]] = {name: [] for name in graphs}
            for _ in range(rounds + 1):
                for at, name in enumerate(done):
                    played = world()
                    performance = await aperform(graphs[name], script, played, f"{at}{script.id}")
                    done[name].append(taken(performance, played))
                tell(f"{case}, async")
            return done

        def all_sync() -> dict[str, list[Take]]:
            done: dict[str, list[Take]] = {name: [] for name in graphs if name != EAGER}
            for _ in range(rounds + 1):
                for at, name in enumerate(done):
                    played = world()
                    performance = perform(graphs[name], script, played, f"{at}{script.id}")
                    done[name].append(taken(performance, played))
                tell(f"{case}, sync")
            return done

        return asyncio.run(all_async()), all_sync()


def measure(cases: Sequence[str], scale: float, rounds: int, *, quiet: bool) -> dict[str, Any]:
    """The figures of *cases*, every time in them times *scale*."""
    report: dict[str, Any] = {"scale": scale, "rounds": rounds, "cases": {}}
    with undisturbed(), progress("streaming", 2 * (rounds + 1) * len(cases), quiet=quiet) as tell:
        for case in cases:
            native, sync = takes(case, scale, rounds, tell)
            message, answer = native[PLAIN][-1].sent
            schedule = Schedule.of(message, answer, _scaled(case, scale))
            report["cases"][case] = {
                "tool_s": schedule.tool_s,
                "complete_s": schedule.complete_s,
                "end_s": schedule.end_s,
                "plain_s": schedule.plain_s,
                "bound_s": schedule.bound_s,
                "foreseen_s": schedule.foreseen_s,
                "late_ms": _spread(
                    take.late_s * 1e3 for own in (native, sync) for it in own.values() for take in it[1:]
                ),
                "async": figures(case, native, schedule),
                "sync": figures(case, sync, schedule),
            }
    return report


def figures(case: str, done: Mapping[str, Sequence[Take]], schedule: Schedule) -> dict[str, Any]:
    """The figures of each agent; the first performance of each does not count for times."""
    plain = done[PLAIN]
    base_s = statistics.median(take.performance.seconds for take in plain[1:])
    found = {}
    for name, own in done.items():
        median_s = statistics.median(take.performance.seconds for take in own[1:])
        figure = {
            "median_s": median_s,
            "speedup": base_s / median_s,
            "over_bound": median_s / schedule.bound_s - 1,
            "over_own": median_s / _own_bound(name, schedule) - 1,
            "starts_ms": _starts(own[1:]),
            "identical": sum(
                take.performance.transcript == other.performance.transcript
                for take, other in zip(own[1:], plain[1:], strict=True)
            ),
            "asked_otherwise": list(
                dict.fromkeys(
                    difference
                    for take, other in zip(own, plain, strict=True)
                    for difference in differences(take.requests, other.requests)
                )
            ),
            "first_error": next((take.performance.error for take in own if take.performance.error), None),
        }
        found[name] = {**figure, "goal_met": _goal_met(case, figure) if name == EAGER_START else None}
    return found


def _began(played: World, tools: Sequence[str]) -> list[float | None]:
    """When the first body of each tool began, on the server's clock."""
    ahead = time.monotonic() - time.perf_counter()
    first = {execution.call.name: execution.began + ahead for execution in reversed(played.executions)}
    return [first.get(tool) for tool in tools]


def _starts(own: Sequence[Take]) -> list[float | None]:
    """Median milliseconds for each call; None where it did not start in every performance."""
    found: list[float | None] = []
    for starts in zip(*(take.starts_ms for take in own), strict=False):
        known = [start for start in starts if start is not None]
        found.append(statistics.median(known) if len(known) == len(own) else None)
    return found


def _spread(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "worst": ordered[-1]}


def _scaled(case: str, scale: float) -> tuple[float, ...]:
    return tuple(seconds * scale for seconds in CASES[case])


def _own_bound(name: str, schedule: Schedule) -> float:
    return {PLAIN: schedule.plain_s, ORACLE: schedule.foreseen_s}.get(name, schedule.bound_s)


def _goal_met(case: str, figure: Mapping[str, Any]) -> bool | None:
    """Whether eager start reaches what it has to in *case*; None where nothing is asked of it."""
    if case in OVER_BOUND:
        return bool(figure["over_bound"] <= OVER_BOUND[case])
    return bool(figure["speedup"] >= SPEEDUP[case]) if case in SPEEDUP else None


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    for case, it in report["cases"].items():
        complete = " and ".join(f"{seconds:.2f}" for seconds in it["complete_s"])
        tools = " and ".join(f"{seconds:g}" for seconds in it["tool_s"])
        yield ""
        yield (
            f"{case}: tools {tools} s, calls complete after {complete} s, message ends after {it['end_s']:.2f} s; "
            f"median of {report['rounds']}"
        )
        yield (
            f"at best: plain {it['plain_s']:.2f} s, started when complete {it['bound_s']:.2f} s, foreseen "
            f"{it['foreseen_s']:.2f} s; the server was up to {it['late_ms']['median']:.0f} ms late in most runs, "
            f"{it['late_ms']['worst']:.0f} ms in one"
        )
        yield (
            f"{'':6} {'':12} {'seconds':>8} {'speed-up':>8} {'over bound':>10} {'over own best':>13}"
            f" {'starts ms after complete':>24}  transcripts  requests identical"
        )
        for interface in ("async", "sync"):
            for name, f in it[interface].items():
                asked = "yes" if not f["asked_otherwise"] else f"no ({', '.join(f['asked_otherwise'])})"
                starts = ", ".join("never" if start is None else f"{start:+.0f}" for start in f["starts_ms"])
                verdict = "  MISSES ITS GOAL" if f["goal_met"] is False and report["scale"] == 1 else ""
                yield (
                    f"{interface:6} {name:12} {f['median_s']:8.3f} {f['speedup']:8.2f} {f['over_bound'] * 100:8.1f} %"
                    f" {f['over_own'] * 100:11.1f} % {starts:>24}  {f['identical']:>5}/{report['rounds']:<5}  {asked}"
                    f"{verdict}{'  ' + f['first_error'] if f['first_error'] else ''}"
                )


def main(argv: Sequence[str] | None = None) -> int:
    parser = rounds_parser("streaming", _FIRST_LINE, rounds=5)
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--scale", type=float, default=1.0, help="every time, times this (default 1)")
    options = parser.parse_args(argv)
    report = measure(options.case or list(CASES), options.scale, options.rounds, quiet=options.quiet)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
