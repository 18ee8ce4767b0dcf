"""How soon an early call is stopped that the model's stream contradicts.

    python -m benchmarks.squash

A server on loopback streams a message that takes 0.6 s. One call was predicted and is running when, after about a tenth
of the message, a piece of it can no longer become that call: its arguments begin otherwise (*arguments*), or it names
another tool (*tool*). Counted are milliseconds from that piece, as the server sent it and as the client received it, to
the decision (the event that discards the early call) and, in an async run, to the moment at which the tool's body is
cancelled. A thread cannot be stopped; there the decision is all there is.

The tool's policy says `on_mispredict="cancel"`; by default a body that nobody wants may finish.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tools import BaseTool, StructuredTool
from langchain_openai import ChatOpenAI

from benchmarks.command import rounds_parser, show
from benchmarks.progress import Tell, progress
from benchmarks.surroundings import undisturbed
from benchmarks.variants import model_turns, plain_agent
from benchmarks.wire import contradicted_at
from langgraph_speculate import SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.core.events import Discarded, Event
from langgraph_speculate.demo.loopback import LoopbackServer, Message, Pace, Reply
from langgraph_speculate.observe.observers import at_once

_FIRST_LINE = (__doc__ or "").split("\n")[0]
MESSAGE_S = 0.6
LIMIT_MS = 5.0
ARGUMENTS, TOOL = "arguments", "tool"
ASYNC, SYNC = "async, task", "sync, thread"
_PIECES = 16  # of the arguments
_PATIENCE_S = 10.0
_NOTE = "x" * 102  # with it the arguments are 128 characters long, and the piece that differs holds all of the key


def arguments(key: str) -> dict[str, Any]:
    """What a call is made with.

    >>> whole = json.dumps(arguments("K-9"))
    >>> len(whole), [whole[at : at + 8] for at in (0, 8, 16)]
    (128, ['{"key": ', '"K-9", "', 'note": "'])
    """
    return {"key": key, "note": _NOTE}


PREDICTED = Call("look_up", arguments("K-9"))
ASKED: Mapping[str, Call] = {
    ARGUMENTS: Call("look_up", arguments("K-1")),
    TOOL: Call("search", arguments("K-9")),
}
"""What the model asks for instead, by what contradicts the prediction."""


@dataclass
class Trial:
    """One run of the agent. Times are those of `time.monotonic()`.

    Attributes:
        began: When the early body began.
        cancelled: When it was cancelled.
        received: When the client had each piece of a call.
        discarded: What the engine said when it discarded the early call.
        sent: When the piece that contradicts was sent.
        contradicted: When it was received.
    """

    began: float | None = None
    cancelled: float | None = None
    received: list[float] = field(default_factory=list)
    discarded: list[Discarded] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    sent: float = 0.0
    contradicted: float = 0.0


class Stage:
    """What the model, the tools and the observers of one measurement share.

    Args:
        kind: What contradicts the prediction.
    """

    def __init__(self, kind: str) -> None:
        self.asked = ASKED[kind]
        self.trial = Trial()

    def respond(self, messages: list[Message], tools: list[dict[str, Any]]) -> Reply:
        """A message with the call, then an answer."""
        if messages[-1]["role"] != "user":
            return Reply("Found.")
        call = ("call_1", self.asked.name, dict(self.asked.args))
        return Reply(tool_calls=[call], pace=Pace.fixed(MESSAGE_S), max_pieces=_PIECES)

    def tools(self) -> list[BaseTool]:
        """Two tools; the predicted call stays until it is stopped, all others return at once."""

        def look_up(key: str, note: str) -> str:
            """Look something up."""
            if key == PREDICTED.args["key"]:
                self.trial.began = time.monotonic()
                self.trial.over.wait(_PATIENCE_S)
            return "found"

        async def alook_up(key: str, note: str) -> str:
            if key == PREDICTED.args["key"]:
                trial = self.trial
                trial.began = time.monotonic()
                try:
                    await asyncio.sleep(_PATIENCE_S)
                except asyncio.CancelledError:
                    trial.cancelled = time.monotonic()
                    raise
            return "found"

        def search(key: str, note: str) -> str:
            """Search for something."""
            return "found"

        async def asearch(key: str, note: str) -> str:
            return "found"

        return [
            StructuredTool.from_function(look_up, coroutine=alook_up),
            StructuredTool.from_function(search, coroutine=asearch),
        ]

    def saw(self, event: Event) -> None:
        """The engine's observer."""
        if isinstance(event, Discarded):
            self.trial.discarded.append(event)


class Mistaken:
    """Predicts the one call that the model does not make."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [] if model_turns(history) else [Candidate(PREDICTED, 0.9, "mistaken")]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


class Receiver(BaseCallbackHandler):
    """Notes when the client has a piece of a call; it comes before the run's observer."""

    run_inline = True

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        if chunk is not None and chunk.message.tool_call_chunks:
            self._stage.trial.received.append(time.monotonic())


def trials(interface: str, kind: str, rounds: int, tell: Tell) -> list[Trial]:
    """The measured runs, after one to warm up."""
    stage = Stage(kind)
    policy = SpeculationPolicy.from_dict(
        {"tools": {"look_up": {"read_only": True, "eagerness": "immediate", "on_mispredict": "cancel"}}}
    )
    with LoopbackServer(stage.respond) as server:
        key: Any = "none"
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key=key, streaming=True)
        graph = speculate(plain_agent(model, stage.tools()), policy, predictor=Mistaken())
        speculation_of(graph).events(at_once(stage.saw))
        question: Any = {"messages": [("user", "Look it up.")]}
        config: Any = {"callbacks": [Receiver(stage)]}

        def begin() -> None:
            stage.trial = Trial()
            server.sent.clear()

        def end() -> Trial:
            trial, message = stage.trial, server.sent[0]
            trial.over.set()
            at = contradicted_at(message.deltas, PREDICTED.name, json.dumps(PREDICTED.args))
            if at is None or not trial.discarded or trial.began is None:
                raise RuntimeError("nothing ran ahead that the model contradicts")
            trial.sent, trial.contradicted = message.at[at], trial.received[at]
            tell(f"{interface}, {kind}")
            return trial

        async def all_async() -> list[Trial]:
            done = []
            for _ in range(rounds + 1):
                begin()
                await graph.ainvoke(question, config)
                done.append(end())
            return done

        def all_sync() -> list[Trial]:
            done = []
            for _ in range(rounds + 1):
                begin()
                graph.invoke(question, config)
                done.append(end())
            return done

        return (asyncio.run(all_async()) if interface == ASYNC else all_sync())[1:]


def measure(rounds: int, *, quiet: bool) -> dict[str, Any]:
    """The figures of both interfaces, for both kinds of contradiction."""
    report: dict[str, Any] = {"rounds": rounds, "message_s": MESSAGE_S, "limit_ms": LIMIT_MS}
    with undisturbed(), progress("squash", 4 * (rounds + 1), quiet=quiet) as tell:
        for interface in (ASYNC, SYNC):
            report[interface] = {kind: figures(trials(interface, kind, rounds, tell)) for kind in ASKED}
    return report


def figures(done: Sequence[Trial]) -> dict[str, Any]:
    """Milliseconds from the piece that contradicts to the decision and to the cancellation, if there was one."""
    cancelled = [trial.cancelled for trial in done if trial.cancelled is not None]
    decided = [trial.discarded[0].at for trial in done]
    last = cancelled if len(cancelled) == len(done) else decided
    stop_ms = _since([trial.contradicted for trial in done], last)
    return {
        "decided_ms": _since([trial.contradicted for trial in done], decided),
        "stopped_ms": stop_ms,
        "stopped_since_sent_ms": _since([trial.sent for trial in done], last),
        "cancelled": len(cancelled),
        "reasons": dict(Counter(trial.discarded[0].reason for trial in done)),
        "within": stop_ms["median"] <= LIMIT_MS,
    }


def _since(began: Sequence[float], ended: Sequence[float]) -> dict[str, float]:
    took = [(end - begin) * 1e3 for begin, end in zip(began, ended, strict=True)]
    return {"median": statistics.median(took), "worst": max(took)}


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield (
        f"a message of {report['message_s']:g} s, {report['rounds']} runs each; milliseconds from the piece that "
        f"contradicts, median (worst); at most {report['limit_ms']:g} from its receipt"
    )
    yield f"{'':13} {'by its':10} {'decided':>16} {'stopped':>16} {'since it was sent':>18}  cancelled"
    for interface in (ASYNC, SYNC):
        for kind, f in report[interface].items():
            columns = [f"{ms['median']:.1f} ({ms['worst']:.1f})" for ms in (f["decided_ms"], f["stopped_ms"])]
            since = f"{f['stopped_since_sent_ms']['median']:.1f} ({f['stopped_since_sent_ms']['worst']:.1f})"
            yield (
                f"{interface:13} {kind:10} {columns[0]:>16} {columns[1]:>16} {since:>18}"
                f"  {f['cancelled']}/{report['rounds']}{'' if f['within'] else '  OVER'}"
            )


def main(argv: Sequence[str] | None = None) -> int:
    parser = rounds_parser("squash", _FIRST_LINE, rounds=20)
    options = parser.parse_args(argv)
    report = measure(options.rounds, quiet=options.quiet)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
