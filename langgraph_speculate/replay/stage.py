"""What all runs of one replay share: the policy, what was learned, the clock, the services behind the tools."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from cachetools import LRUCache
from limits import parse

from langgraph_speculate.core.breaker import Breakers
from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.history import History
from langgraph_speculate.core.latency import Latencies
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.stakes import Stakes
from langgraph_speculate.core.worth import Prices
from langgraph_speculate.host.brakes import Brakes
from langgraph_speculate.host.entry import TASK, THREAD
from langgraph_speculate.host.forecast import Forecaster
from langgraph_speculate.host.memory import bounded_memory
from langgraph_speculate.observe.stats import StatsCollector
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.replay.recollection import Recollection
from langgraph_speculate.replay.simulation import Gate, Simulation
from langgraph_speculate.replay.times import Clockwork

WIDTH = 10  # candidates that a live engine asks for
_BREAKERS = 1024


class Service:
    """What a tool calls: so many calls at one time, so many in a window; who comes too early waits in line.

    Args:
        simulation: The clock.
        slots: Calls at one time, or None.
        rate: Calls in a window in the notation of `limits`, or None.
    """

    def __init__(self, simulation: Simulation, slots: int | None, rate: str | None) -> None:
        self._simulation = simulation
        self._free = slots
        self._line: deque[Gate] = deque()
        item = None if rate is None else parse(rate)
        self._window_s = 0.0 if item is None else float(item.get_expiry())
        self._starts: deque[float] | None = None if item is None else deque(maxlen=item.amount)

    def enter(self) -> Gate:
        """A gate that opens when the call may start."""
        gate = Gate()
        if self._free is None or self._free > 0:
            self._free = None if self._free is None else self._free - 1
            self._let_in(gate)
        else:
            self._line.append(gate)
        return gate

    def leave(self) -> None:
        """A call has ended: the next in line may start."""
        if self._line:
            self._let_in(self._line.popleft())
        elif self._free is not None:
            self._free += 1

    def give_up(self, gate: Gate) -> None:
        """A call that has not started does not want to any more."""
        if gate in self._line:
            self._line.remove(gate)
        else:
            gate.call(self.leave)  # its turn comes, and goes to the next

    def _let_in(self, gate: Gate) -> None:
        now = self._simulation.now
        if self._starts is None:
            gate.open()
            return
        full = len(self._starts) == self._starts.maxlen
        when = max(now, self._starts[0] + self._window_s) if full else now
        self._starts.append(when)
        if when <= now:
            gate.open()
        else:
            self._simulation.at(when, gate.open)


class Stage:
    """Where runs are played.

    Args:
        policy: What may run ahead.
        predictor: Who guesses; it must answer at once (`bounded = True`).
        tools: Names of the graph's tools.
        clockwork: How long everything takes.
        reads_streams: Whether the model streams.
        now: Where the clock starts. Rates and slots belong to the process, so another stage must not begin before one
            that has ended.

    Attributes:
        collector: Adds up what happens.
        memory: What tools answered before; None where no model call is started ahead (`model_ahead`).
        model: Whose tokens are paid for, by its name in the policy: recordings do not name it.
    """

    width = WIDTH

    def __init__(
        self,
        policy: SpeculationPolicy,
        predictor: Predictor,
        tools: Collection[str],
        clockwork: Clockwork,
        *,
        reads_streams: bool = True,
        now: float = 0.0,
    ) -> None:
        self.policy = policy
        self.level = policy.level
        self.clockwork = clockwork
        self.reads_streams = reads_streams
        self.simulation = Simulation(now)
        self.predictor = predictor
        self.forecaster = Forecaster(predictor, _ignore)
        self.brakes = Brakes(policy, _ignore)
        prices = Prices(policy.thrift, policy.value_per_second)
        breakers = Breakers(LRUCache(_BREAKERS), policy.limits.cool_down_s)
        latencies = Latencies()
        stakes = Stakes(prices, latencies, policy.price_of, policy.limits)
        restraints = Restraints(breakers, self.brakes, prices)
        self.economy = Economy(latencies, prices, restraints, stakes=stakes, previews=policy.model_ahead)
        self.memory = bounded_memory(policy.limits) if policy.model_ahead else None
        self.model = dearest(policy)
        self._epochs = Epochs()
        self.collector = StatsCollector(tools.__contains__)
        self._tools = tools
        self._facts: dict[str, ToolFacts] = {}
        self._services: dict[tuple[str, str], Service] = {}
        self._runs = itertools.count(1)

    def next_run(self) -> int:
        """A number for a run."""
        return next(self._runs)

    def epochs(self, run: str) -> Epochs:
        """Of what a run reads and writes: where the policy keeps users apart, each run is taken for one of its own."""
        return Epochs(run) if self.policy.partition_by else self._epochs

    def recollection(self, run: str, epochs: Epochs | None = None) -> Recollection | None:
        """A run's share in what is remembered, or None where nothing is."""
        if self.memory is None:
            return None
        partition = run if self.policy.partition_by else ""
        return Recollection(self.memory, self.facts, partition, epochs or self.epochs(run))

    def facts(self, tool: str) -> ToolFacts:
        """What the gate is told of a tool that the model has called."""
        known = self._facts.get(tool)
        if known is None:
            known = ToolFacts(tool, self.policy.rule_for(tool), venues=frozenset({TASK, THREAD}))
            self._facts[tool] = known
        return known

    def known(self, tool: str) -> ToolFacts | None:
        """The same of a tool that somebody guesses; None where the graph has none of that name."""
        return self.facts(tool) if tool in self._tools else None

    def trusts(self, tool: str) -> bool:
        """Whether results of a tool may choose where others are sent."""
        policy = self.facts(tool).rule.tool
        return policy is not None and policy.trusted_output

    def queue(self, facts: ToolFacts) -> Service:
        """The service that a tool calls: the host that several share, or its own."""
        policy = facts.rule.tool
        host = None if policy is None else policy.host
        key = ("tool", facts.name) if host is None else ("host", host)
        service = self._services.get(key)
        if service is None:
            own_slots, own_rate = (None, None) if policy is None else (policy.slots, policy.rate)
            slots = own_slots if host is None else self.policy.pools.get(host, own_slots)
            rate = own_rate if host is None else self.policy.rates.get(host, own_rate)
            service = self._services[key] = Service(self.simulation, slots, rate)
        return service

    def learn(self, history: History, text: str, calls: Sequence[Call]) -> None:
        """The predictor sees what the model asked for after *history*."""
        self.forecaster.learn(replace(history, writing=text), calls)

    def publish(self, session: Session) -> None:
        """Add up what has happened in a run."""
        self.collector.add(session.take_events())


def dearest(policy: SpeculationPolicy) -> str:
    """The dearest model that a policy has a price for, by what it reads; empty if it has none for any."""
    return max(policy.token_prices, key=lambda name: policy.token_prices[name].input, default="")


def _ignore(cause: str, message: str) -> None:
    """A replay that meets what a live graph would warn of goes on as that would."""
