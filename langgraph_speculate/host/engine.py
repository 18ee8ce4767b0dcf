"""What all runs of one wrapped graph share: policy, predictor, resource epochs, statistics, observers.

`speculation_of(graph)` hands it out; it is the graph's owner's handle on speculation.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from cachetools import LRUCache
from langgraph.cache.base import BaseCache

from langgraph_speculate.core.breaker import Breakers
from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.events import Event, Switched
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.history import History
from langgraph_speculate.core.journal import Title
from langgraph_speculate.core.latency import Latencies
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.stakes import Stakes
from langgraph_speculate.core.sums import Learner
from langgraph_speculate.core.warming import WarmTimes
from langgraph_speculate.core.worth import Prices
from langgraph_speculate.errors import BadPatterns
from langgraph_speculate.host import clock
from langgraph_speculate.host.archive import archive_of
from langgraph_speculate.host.attempt import in_process
from langgraph_speculate.host.brakes import Brakes, Onlooker
from langgraph_speculate.host.compat.configs import RUN_KEY, namespace_depth
from langgraph_speculate.host.executors import Dispatcher
from langgraph_speculate.host.explanation import Explanation, held_back, models_held_back, switched_off, verdict_on
from langgraph_speculate.host.forecast import Forecaster
from langgraph_speculate.host.handle import SpeculationHandle
from langgraph_speculate.host.keeper import Keeper, Locked
from langgraph_speculate.host.memory import bounded_memory
from langgraph_speculate.host.names import Names
from langgraph_speculate.host.repute import Repute
from langgraph_speculate.host.run import Run
from langgraph_speculate.host.tenants import Tenants, is_nobodys
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.observe.delivery import LAST_S
from langgraph_speculate.observe.langsmith import Tracing
from langgraph_speculate.observe.observers import EVERYWHERE, Audience, Observer
from langgraph_speculate.observe.stats import Stats, StatsCollector
from langgraph_speculate.patterns import PatternSource, open_patterns
from langgraph_speculate.policy import Level, SpeculationPolicy
from langgraph_speculate.policy.checks import printable

_LOG = logging.getLogger("langgraph_speculate")
_CLOSED = "speculation_of(graph).close() was called; to go on, wrap the plain graph anew"
_OFF = "level is off, in the policy or in LANGGRAPH_SPECULATE"
_WIDTH = 10  # candidates asked for a turn: more than may run, because the gate lets only some through
_BREAKERS = 1024  # of patterns and tools, those used last


class Engine:
    """Speculation for one wrapped graph.

    Args:
        policy: What may run ahead.
        predictor: Who guesses.
        observers: Called with every event (`observe/observers.py`); one that raises is logged once and taken off.
        patterns: Where what is learned is kept; None keeps it in memory.
        force_streaming: Whether the model's turns are streamed although nobody asked for it.
        executor: Where sync bodies run that can be sent there, or None.
        tracing: What traces in LangSmith say of speculations.
        announce: Whether each adoption is told to those who stream `custom`.
        memory: Where what tools answered is kept beyond the process; None keeps it here.

    Attributes:
        audience: Those who are told what happens.
        economy: What is known, and what restrains speculations.
        imagined: The same at the level `shadow`: what is imagined there restrains nothing real.
        patterns: The keeper of what is learned, or None.
        memory: What tools answered, or None without previews.
        archive: The keeper of that, or None.

    Raises:
        TypeError: *executor* or *memory* is none.
        BadPatterns: *patterns* cannot be opened, or *predictor* has nothing that could be written down.
    """

    def __init__(
        self,
        policy: SpeculationPolicy,
        predictor: Predictor,
        *,
        observers: Iterable[Observer] = (),
        patterns: PatternSource | None = None,
        force_streaming: bool = False,
        executor: Executor | None = None,
        tracing: Tracing = Tracing(),  # noqa: B008 - frozen
        announce: bool = False,
        memory: BaseCache[Any] | None = None,
    ) -> None:
        self.tracing = tracing
        self.force_streaming = force_streaming
        self.announces = announce
        self.dispatcher = Dispatcher(executor)
        self.policy = policy
        self.forecaster = Forecaster(predictor, self.warn)
        self.warm_times = WarmTimes()
        self.brakes = Brakes(policy, self.warn)
        self._breakers = Breakers(LRUCache(_BREAKERS), policy.limits.cool_down_s)
        self.lock = threading.RLock()  # held only inside of the core, which never waits
        prices = Prices(policy.thrift, policy.value_per_second)
        latencies, restraints = Latencies(), Restraints(self._breakers, self.brakes, prices)
        stakes = Stakes(prices, latencies, policy.price_of, policy.limits)
        self.economy = Economy(latencies, prices, restraints, in_process, stakes, policy.model_ahead)
        self.memory = bounded_memory(policy.limits) if policy.model_ahead else None
        breakers = Breakers(LRUCache(_BREAKERS), policy.limits.cool_down_s)
        self.imagined = replace(self.economy, restraints=Restraints(breakers, Onlooker(self.brakes), prices))
        self.width = _WIDTH
        self._collector = StatsCollector(self._is_tool)
        self.audience = Audience(observers, EVERYWHERE)
        self.views: list[tuple[Toolbox, str | None]] = []
        self._tripped: set[str] = set()
        self.unwarmable: set[str] = set()  # tools whose warm-up tripped a wire
        self.repute = Repute()
        self._warned: set[str] = set()
        self.archive = None if memory is None else archive_of(memory, self.memory, self.lock, self.warn)
        self.forecaster.usage.join(self)
        self.patterns = None if patterns is None else self._keeper(patterns)  # last: what it opens needs to be closed
        self._runs: WeakSet[Run] = WeakSet()
        self._names = Names()
        self._tenants = Tenants(policy, self.lock, self.warn)
        self._seen_tools = False
        self._closed = False
        self.handle = SpeculationHandle(self)

    # -- for the graph's owner ---------------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Counts and seconds over all runs so far."""
        return self._collector.snapshot()

    def explain(self) -> Explanation:
        """For each tool whether it may run ahead, and why."""
        now, level = clock.now(), self.policy.effective_level()
        off = _CLOSED if self._closed else _OFF if level == "off" else None
        verdicts = []
        for toolbox, blocked in self.views:
            toolbox.recheck()
            view = RunView(level, blocked, Epochs(), self._tripped, self.policy.foretold_level)
            for facts in (entry.facts for entry in toolbox):
                service = self.brakes.resting(facts.name, facts.rule.tool, now)
                with self.lock:
                    breaker = self._breakers.off(facts.name, now)
                verdict = held_back(facts, service, breaker, now) or verdict_on(facts, toolbox, view)
                verdicts.append(verdict if off is None else switched_off(verdict, off))
        with self.lock:
            models = list(models_held_back(self.repute.objections(), self.economy.stakes.off(now), now))
        return Explanation(sorted(verdicts, key=lambda verdict: verdict.tool), models)

    def events(self, observer: Observer) -> Callable[[], None]:
        """See `SpeculationHandle.events`, as for the others here."""
        return self.audience.add(observer)

    def flush(self, timeout_s: float = LAST_S) -> bool:
        """Return when all observers have been told what happened so far."""
        return self.audience.flush(timeout_s)

    def close(self) -> None:
        """Stop speculating: nothing is left running, and the graph goes on as the plain one."""
        self._closed = True
        with self.lock:
            runs = list(self._runs)
        for run in runs:
            run.close()
        self.flush()
        if self.patterns is not None:
            self.patterns.close()
            self.forecaster.usage.let_go()
        if self.archive is not None:
            self.archive.close()

    # -- for the host ------------------------------------------------------------------------------------------------

    def know(self, toolbox: Toolbox, blocked: str | None) -> None:
        """A graph (or a graph in it) with these tools uses this engine."""
        self.views.append((toolbox, blocked))
        self._tell(blocked, self.policy.level, toolbox)

    def _tell(self, blocked: str | None, level: Level, toolbox: Toolbox) -> None:
        """Say once why a graph that could run calls ahead does not."""
        if blocked is not None and len(toolbox) and level not in ("off", "shadow"):
            self.warn(f"blocked-{blocked}", f"nothing runs ahead, calls are only predicted: {blocked}")

    def open_run(
        self,
        toolbox: Toolbox,
        configurable: Mapping[str, Any],
        blocked: str | None,
        loop: asyncio.AbstractEventLoop | None,
        graph: str = "",
    ) -> Run | None:
        """A scope for one agent run, or None when speculation is off or there is nothing to run ahead."""
        level = self.policy.effective_level()
        if self._closed or level == "off" or not len(toolbox):
            return None
        self._tell(blocked, level, toolbox)
        toolbox.recheck()
        view = RunView(level, blocked, self._tenants.epochs_of(configurable), self._tripped, self.policy.foretold_level)
        id, depth = self._names.next(), namespace_depth(configurable)
        origin, launched = self._tenants.origin_of(configurable, id), self._tenants.launched_in(configurable, level)
        run = Run(self, id, toolbox, view, loop, depth, launched, origin, Title(graph, clock.epoch()))
        with self.lock:
            self._runs.add(run)
        outer: Run | None = configurable.get(RUN_KEY)
        self.audience.opened(id, graph, None if outer is None else outer.id)
        return run

    def forget(self, run: Run) -> None:
        """A run has ended."""
        with self.lock:
            self._runs.discard(run)
            if not self._runs:
                self._runs = WeakSet()  # a set keeps the room that a crowd needed

    def trip(self, tool: str, wire: str) -> None:
        """A tool reached for what a speculation may not have: it is not run ahead again."""
        self._tripped.add(tool)
        self.warn(f"tripped-{tool}", f"{tool!r} uses {wire}, so it is not run ahead any more; the real call runs")

    def binds_tools(self, shown: bool) -> bool:
        """Whether a model call counts as the agent's turn, given whether its parameters show tools.

        Some models do not show what they bind: without tools counts too, until one that shows them was seen.
        """
        self._seen_tools = self._seen_tools or shown
        return shown or not self._seen_tools

    def publish(self, happened: Sequence[Event]) -> None:
        """Hand events to the observers, which cannot break a run."""
        if not happened:
            return
        self._collector.add(happened)
        for event in happened:
            if isinstance(event, Switched):
                _LOG.info("speculation: %s", _told(event))
        if dropped := self.audience.tell(happened):
            self._collector.missed(dropped)

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """The predictor sees what the model asked for after *history*."""
        if is_nobodys(history.origin):
            return
        self.forecaster.learn(history, calls)
        if self.patterns is not None:
            self.patterns.learned()

    def warn(self, cause: str, message: str) -> None:
        """Log a warning, once a cause."""
        if cause not in self._warned:
            self._warned.add(cause)
            _LOG.warning("speculation: %s", message)

    def _keeper(self, patterns: PatternSource) -> Keeper:
        learner = self.forecaster.predictor
        if not isinstance(learner, Learner):
            raise BadPatterns(
                f"patterns: {type(learner).__qualname__} has nothing to write down; leave out predictor= or patterns=, "
                "or give it the verbs of langgraph_speculate.core.Learner"
            )
        usage = self.forecaster.usage
        if usage.is_kept():
            raise BadPatterns(
                "patterns: what this predictor learns is written down for another graph already; give each graph a "
                "predictor of its own (they may share the patterns), or close the other graph's speculation first"
            )
        learner.private, learner.known = usage.is_private, usage.is_known
        beside = Locked(self.economy.latencies, self.lock)
        keeper = Keeper(open_patterns(patterns), learner, self.forecaster.asking, beside=beside)
        usage.keep(keeper)
        return keeper

    def is_private(self, name: str) -> bool:
        """Whether nothing about calls of that tool may be kept."""
        declared = self.policy.rule_for(name).tool
        return any(box.hides(name) for box, _ in self.views) or (declared is not None and declared.private)

    def is_known(self, call: Call) -> bool:
        """Whether there is a tool of the call's name, with arguments of the call's names."""
        return any(box.has(call) for box, _ in self.views)

    def _is_tool(self, name: str) -> bool:
        return any(toolbox.knows(name) for toolbox, _ in self.views)


def _told(event: Switched) -> str:
    """One line about a switch, with the figures that caused it."""
    what = " ".join(filter(None, (event.scope, printable(event.name))))
    figures = {"worth_s": event.worth_s, "settled": event.settled, "status": event.status, "pause_s": event.pause_s}
    told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if value)
    return f"{what} is {event.state} ({event.reason}{told and ': ' + told})"
