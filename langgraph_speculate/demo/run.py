"""The demonstration: the same conversations with the plain agent and with the speculating one, in turns.

Both sides are the agent of `examples/shop_agent`, each over its own copy of the shop, so that a return opened on one
side is not seen by the other. The model is scripted and served on loopback; everything else is real.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from langsmith import tracing_context

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core.events import Event
from langgraph_speculate.demo.loopback import LoopbackServer
from langgraph_speculate.demo.project import open_project
from langgraph_speculate.demo.script import PACE, QUESTIONS, respond
from langgraph_speculate.demo.spans import Span, SpanRecorder, ahead_spans, covered_s
from langgraph_speculate.errors import PolicyError
from langgraph_speculate.observe.observers import at_once
from langgraph_speculate.observe.stats import Stats
from langgraph_speculate.policy import SpeculationPolicy


@dataclass(frozen=True, slots=True)
class Recording:
    """One conversation with one of the two agents.

    Attributes:
        began: On `time.monotonic()`.
        ended: On the same clock.
        messages: The whole transcript.
        spans: The model's steps, the tools' calls and the speculations.
    """

    began: float
    ended: float
    messages: list[BaseMessage]
    spans: list[Span]

    @property
    def seconds(self) -> float:
        """How long the customer waited."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Pair:
    """One conversation, held with both agents."""

    question: str
    plain: Recording
    speculative: Recording

    @property
    def identical(self) -> bool:
        """True when the transcripts are the same, up to generated ids."""
        return transcript(self.plain.messages) == transcript(self.speculative.messages)

    @property
    def hit(self) -> bool:
        """True when something that ran ahead was adopted."""
        return any(span.kind == "ahead" for span in self.speculative.spans)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demonstration found.

    Attributes:
        pairs: The conversations, in the order they were held.
        stats: The statistics of the speculating agent; see `Speculation.stats`.
        same_writes: Both shops hold the same returns afterwards.
        writes: How many returns were opened on each side.
    """

    pairs: list[Pair]
    stats: Stats
    same_writes: bool
    writes: int

    @property
    def plain_s(self) -> float:
        """Seconds all conversations took with the plain agent."""
        return sum(pair.plain.seconds for pair in self.pairs)

    @property
    def speculate_s(self) -> float:
        """Seconds all conversations took with the speculating agent."""
        return sum(pair.speculative.seconds for pair in self.pairs)

    @property
    def speedup(self) -> float:
        """How many times as fast."""
        return self.plain_s / self.speculate_s

    @property
    def identical(self) -> int:
        """How many transcripts are the same on both sides."""
        return sum(pair.identical for pair in self.pairs)

    @property
    def early_writes(self) -> int:
        """How often the tool that writes was run ahead of the model: never, if the policy is kept."""
        tool = self.stats.by_tool.get("open_return")
        return tool.launched if tool else 0

    @property
    def tool_share(self) -> float:
        """The part of the plain agent's time that went into waiting for tools: nothing more can be hidden."""
        waits = (span for pair in self.pairs for span in pair.plain.spans if span.kind == "tool")
        return covered_s(waits) / self.plain_s

    @property
    def best(self) -> Pair:
        """The conversation that gained most, of those with a hit: on a busy machine others differ by chance as well."""
        return max(self.pairs, key=lambda pair: (pair.hit, pair.plain.seconds - pair.speculative.seconds))

    def as_json(self) -> dict[str, float | int]:
        """The figures, for machines."""
        return {
            "plain_s": round(self.plain_s, 3),
            "speculate_s": round(self.speculate_s, 3),
            "speedup": round(self.speedup, 3),
            "identical": self.identical,
            "runs": len(self.pairs),
            "launched": self.stats.launched,
            "hits": self.stats.hits,
            "wasted_s": round(self.stats.wasted_s, 3),
            "hidden_s": round(self.stats.hidden_s, 3),
        }


Progress = Callable[[int, int, Pair], None]


def demonstrate(
    *,
    scale: float = 1.0,
    progress: Progress | None = None,
    policy: Path | None = None,
    observers: Iterable[Callable[[Event], None]] = (),
) -> Outcome:
    """Hold every conversation with both agents.

    Args:
        scale: Factor on every delay, of the model and of the tools.
        progress: Called after each conversation with its number, how many there are, and its recordings.
        policy: A file for the speculating agent instead of the shop's own.
        observers: Called with every event of the speculating agent.

    Raises:
        PolicyError: *policy* will not do.
    """
    with _no_network_but_loopback():
        return asyncio.run(_demonstrate(scale, progress or (lambda done, total, pair: None), policy, observers))


async def _demonstrate(
    scale: float, progress: Progress, policy: Path | None, observers: Iterable[Callable[[Event], None]]
) -> Outcome:
    folder = open_project()
    build_agent = import_module("shop_agent.agent").build_agent
    database, shipping = import_module("shop_agent.database"), import_module("shop_agent.shipping")

    with ExitStack() as stack:
        server = stack.enter_context(LoopbackServer(respond, pace=PACE.scaled(scale)))
        carrier = stack.enter_context(closing(shipping.ShippingService(latency=scale)))
        shops = [stack.enter_context(closing(database.Shop(latency=scale))) for _ in range(2)]
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key="none")  # type: ignore[arg-type]
        await model.ainvoke("hello")  # opens connections, which neither side should have to pay for

        tools = import_module("shop_agent.tools").shop_tools(shops[1], carrier.url)

        plain = build_agent(model, shop=shops[0], shipping_url=carrier.url)
        agent = build_agent(model, shop=shops[1], shipping_url=carrier.url)
        settings = SpeculationPolicy.load(folder / "speculate.toml") if policy is None else _policy_in(policy, tools)
        speculative = speculate(agent, policy=settings, observers=observers)
        speculation = stack.enter_context(closing(speculation_of(speculative)))
        events: list[Event] = []
        speculation.events(at_once(events.append))

        pairs: list[Pair] = []
        for number, question in enumerate(QUESTIONS):
            sides = {"plain": plain, "speculative": speculative}
            recordings = {}
            for side in sorted(sides, reverse=number % 2 == 1):  # who goes first changes, so neither gains by it
                events.clear()
                recordings[side] = await _converse(sides[side], question, events)
            pairs.append(Pair(question, **recordings))
            progress(number + 1, len(QUESTIONS), pairs[-1])
        returns = [shop.returns() for shop in shops]
        return Outcome(pairs, speculation.stats(), returns[0] == returns[1], len(returns[0]))


def _policy_in(path: Path, tools: Iterable[BaseTool]) -> SpeculationPolicy:
    """A policy of somebody's own, who may have thought of the tools of an agent of their own."""
    settings, names = SpeculationPolicy.load(path), [tool.name for tool in tools]
    try:
        settings.check_names(names, source=str(path))
    except PolicyError as error:
        own = f"the demonstration's agent has tools of its own: {', '.join(names)}"
        raise PolicyError(f"{error}\n{own}") from None
    return settings


async def _converse(graph: Any, question: str, events: list[Event]) -> Recording:
    recorder = SpanRecorder()
    config: RunnableConfig = {"callbacks": [recorder]}
    began = time.monotonic()
    state = await graph.ainvoke({"messages": [("user", question)]}, config)
    ended = time.monotonic()
    return Recording(began, ended, state["messages"], recorder.spans + ahead_spans(list(events)))


def transcript(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    """Everything in the messages but the ids that are drawn anew each time: those of messages and of responses."""
    dumps = [message.model_dump(exclude={"id"}) for message in messages]
    for dump in dumps:
        dump["response_metadata"] = {key: value for key, value in dump["response_metadata"].items() if key != "id"}
    return dumps


@contextmanager
def _no_network_but_loopback() -> Iterator[None]:
    """Keep a proxy or a tracing service that the environment configures out of the demonstration."""
    before = os.environ.get("no_proxy")  # where both are set, the lower-case one counts
    others = before or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{others},127.0.0.1" if others else "127.0.0.1"
    try:
        with tracing_context(enabled=False):
            yield
    finally:
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before
