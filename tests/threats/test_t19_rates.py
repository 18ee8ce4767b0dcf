"""T19, services with limits: a rate, slots, a server that says that it is overloaded.

Real agents on virtual time (`tests/sim/loop.py`). No real call is rejected, or waits, because of an early one; and a
service that has had enough is left alone.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from agents import START_INPUT, Oracle, ScriptedModel, agent_graph, ask
from attacks import is_early
from langchain_core.messages import AIMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.core.events import Switched
from langgraph_speculate.host import clock
from langgraph_speculate.observe.observers import at_once
from tests.sim.loop import run

RATE, WINDOW_S = 10, 1.0
TURNS = 8
WIDE = {"max_in_flight": 50, "max_per_turn": 10, "max_per_run": 500, "max_wasted_per_run": 500, "cool_down_s": 0}
_HOSTS = itertools.count()


class TooMany(ToolException):
    """What an HTTP client raises."""

    def __init__(self, status_code: int = 429) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class Api:
    """A service that rejects what exceeds its rate in any window, or while it is down.

    Attributes:
        taken: When it took a call, and whether that was an early one.
        rejected: The same of calls that it rejected.
    """

    def __init__(self, rate: int = RATE, latency_s: float = 0.2) -> None:
        self.taken: list[tuple[float, bool]] = []
        self.rejected: list[tuple[float, bool]] = []
        self.down = False
        self._rate = rate
        self._latency_s = latency_s

    def tool(self, name: str = "look") -> BaseTool:
        async def body(id: int) -> str:
            "Look something up."
            now, early = clock.now(), is_early()
            recent = sum(at > now - WINDOW_S for at, _ in self.taken)
            if self.down or recent >= self._rate:
                self.rejected.append((now, early))
                raise TooMany
            self.taken.append((now, early))
            await asyncio.sleep(self._latency_s)
            return f"{id}"

        # As tools of agents do: what goes wrong is told to the model.
        return StructuredTool.from_function(
            coroutine=body, name=name, description="Look something up.", handle_tool_error=True
        )

    @property
    def early(self) -> int:
        return sum(early for _, early in self.taken)

    def real_calls_rejected(self) -> int:
        return sum(not early for _, early in self.rejected)


class Pool:
    """A pool of connections: a call waits until it has one.

    Attributes:
        waits: How long each real call waited, in order.
        early: How many early bodies had one.
    """

    def __init__(self, slots: int, latency_s: float = 0.5) -> None:
        self.waits: list[float] = []
        self.early = 0
        self._free = asyncio.Semaphore(slots)
        self._latency_s = latency_s

    @property
    def waited(self) -> float:
        return max(self.waits)

    def tool(self) -> BaseTool:
        async def body(id: int) -> str:
            "Look something up."
            came, early = clock.now(), is_early()
            async with self._free:
                if early:
                    self.early += 1
                else:
                    self.waits.append(clock.now() - came)
                await asyncio.sleep(self._latency_s)
            return f"{id}"

        return StructuredTool.from_function(coroutine=body, name="look", description="Look something up.")


class Partly(Oracle):
    """An oracle that is wrong as often as it is told to be, with another wrong guess each time."""

    def __init__(self, script: Sequence[Any], wrong: float, draw: random.Random) -> None:
        super().__init__(script)
        self._wrong = wrong
        self._draw = draw

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        right = super().predict(history, k=k) if self._draw.random() >= self._wrong else []
        return right or [Candidate(Call("look", {"id": -self._draw.randrange(10**9)}), 0.9, "hunch") for _ in range(2)]


def script_of(draw: random.Random, turns: int = TURNS) -> list[Any]:
    asked = [ask(("look", {"id": draw.randrange(10**6)}), prefix=f"c{turn}") for turn in range(turns)]
    return [*asked, AIMessage("done")]


def thinking(draw: random.Random, mean_s: float) -> Callable[[int], Awaitable[None]]:
    def during(turn: int) -> Awaitable[None]:
        return asyncio.sleep(draw.uniform(0.5, 1.5) * mean_s)

    return during


def agents(
    make: Callable[[], Any],
    policy: dict[str, Any] | None,
    *,
    runs: int = 1,
    seed: int = 0,
    wrong: float = 0.5,
    streams: bool = True,
) -> tuple[Any, Any]:
    """Some agents beside each other, plain without a policy; returns the service and the engine."""
    draw = random.Random(seed)
    script = script_of(draw)

    async def main() -> tuple[Any, Any]:
        service = make()
        model = ScriptedModel(script=script, during=thinking(draw, 1.0), streams=streams)
        graph: Any = agent_graph(model, [service.tool()])
        if policy is not None:
            graph = speculate(graph, policy, predictor=Partly(script, wrong, random.Random(seed)))
        await asyncio.gather(*(graph.ainvoke(START_INPUT) for _ in range(runs)))
        return service, None if policy is None else speculation_of(graph)

    ran = run(main(), seed)
    assert ran.error is None
    answer: tuple[Any, Any] = ran.result
    return answer


def declaring(by: str) -> dict[str, Any]:
    """A policy that declares the API's rate; the host has a name of its own, since those are the process's."""
    name, rate = f"api{next(_HOSTS)}.example.org", f"{RATE}/second"
    if by == "host":
        return {"tools": {"look": {"read_only": True, "host": name}}, "rates": {name: rate}, "limits": WIDE}
    return {"tools": {"look": {"read_only": True, "rate": rate}}, "limits": WIDE}


def busiest(taken: Sequence[tuple[float, bool]]) -> int:
    """The most calls in any window."""
    return max(sum(end - WINDOW_S < at <= end for at, _ in taken) for end, _ in taken)


# -- rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tool", "host"])
@pytest.mark.parametrize("runs", [1, 3, 5])
@pytest.mark.parametrize("wrong", [0.3, 1.0])
def test_no_real_call_is_rejected_because_of_early_ones(by: str, runs: int, wrong: float) -> None:
    """
    While what the agents need leaves the early share free; and early calls never use more than that share.
    """
    for seed in range(2):
        plain, _ = agents(Api, None, runs=runs, seed=seed)
        assert busiest(plain.taken) <= 0.8 * RATE
        api, engine = agents(Api, declaring(by), runs=runs, seed=seed, wrong=wrong)
        assert not api.rejected
        assert busiest([call for call in api.taken if call[1]]) <= 0.2 * RATE
        assert len(api.taken) == runs * TURNS + engine.stats().wasted
        assert engine.stats().denied["rate"] > 0


def test_an_undeclared_rate_is_exceeded() -> None:
    """
    The control: the same guesses, and nobody said what the API bears.
    """
    plain, _ = agents(Api, None, runs=5)
    assert not plain.rejected
    api, _ = agents(Api, {"tools": {"look": True}, "limits": WIDE}, runs=5, wrong=1.0)
    assert api.real_calls_rejected() > 0


def test_agents_that_need_the_whole_rate_leave_nothing_to_early_calls() -> None:
    """
    The busier the service, the less runs early.
    """
    early = [agents(Api, declaring("host"), runs=runs, wrong=1.0)[0].early for runs in (4, 8, 16)]
    assert early[0] > early[1] > early[2]


def test_graphs_that_name_the_same_host_share_its_rate() -> None:
    """
    Two agents with tools of two names, one after the other within a window: what one has used, the other has not.
    """
    policies = [{"tools": {name: {"read_only": True, "host": "shared.example.org"}}} for name in ("look", "peek")]
    rates = {"shared.example.org": f"{RATE}/minute"}

    async def main() -> list[int]:
        early = []
        for name, policy in zip(("look", "peek"), policies, strict=True):
            api, script = Api(), [ask((name, {"id": 1})), ask((name, {"id": 2})), AIMessage("done")]
            model = ScriptedModel(script=script, pace_s=1.0)
            graph = speculate(
                agent_graph(model, [api.tool(name)]), {**policy, "rates": rates}, predictor=Oracle(script)
            )
            await graph.ainvoke(START_INPUT)
            early.append(api.early)
        return early

    assert run(main()).result == [2, 0]


# -- a rate limiter of LangChain ---------------------------------------------------------------------------------------


class Bucket(BaseRateLimiter):
    """So many tokens, and an error when there are none, if it is *broken*."""

    def __init__(self, tokens: int, broken: bool = False) -> None:
        self.tokens = tokens
        self.blocked = False
        self._broken = broken

    def acquire(self, *, blocking: bool = True) -> bool:
        self.blocked |= blocking
        if self._broken:
            raise ConnectionError("no store")
        had_one = self.tokens > 0
        self.tokens -= had_one
        return had_one

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


@pytest.mark.parametrize(("bucket", "early"), [(Bucket(3), 3), (Bucket(0), 0), (Bucket(3, broken=True), 0)])
def test_early_calls_take_from_a_rate_limiter_of_langchain(bucket: Bucket, early: int) -> None:
    """
    Without waiting; one that says no, or fails, keeps them from running and nothing else.
    """
    policy = {"tools": {"look": {"read_only": True, "rate_limiter": bucket}}, "limits": WIDE}
    api, engine = agents(Api, policy, wrong=0.0)
    assert api.early == early
    assert len(api.taken) == TURNS
    assert not bucket.blocked
    assert engine.stats().denied["rate"] > 0


# -- slots -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_lone_real_call_never_waits_for_a_slot(slots: int) -> None:
    """
    One agent that guesses nothing but wrong: early calls leave a slot free, and with one slot there are none.
    """
    policy = {"tools": {"look": {"read_only": True, "slots": slots}}, "limits": WIDE}
    pool, _ = agents(lambda: Pool(slots, latency_s=3.0), policy, wrong=1.0)
    assert pool.waited == 0.0
    assert (pool.early > 0) == (slots > 1)


def test_undeclared_slots_are_used_up() -> None:
    """
    The control: the same guesses fill the pool, and real calls wait.
    """
    pool, _ = agents(lambda: Pool(2, latency_s=3.0), {"tools": {"look": True}, "limits": WIDE}, wrong=1.0)
    assert pool.waited > 0.0


def test_early_calls_keep_to_what_real_ones_leave_at_their_busiest() -> None:
    """
    Six agents on nine slots: none waits, because as many slots as they have had at once are not given away.
    """
    policy = {"tools": {"look": {"read_only": True, "slots": 9}}, "limits": WIDE}
    pool, _ = agents(lambda: Pool(9), policy, runs=6, wrong=1.0)
    assert pool.waited == 0.0
    assert pool.early > 0


@pytest.mark.parametrize(
    ("slots", "runs", "crowded"),
    [(6, 3, False), (4, 3, False), (2, 8, True), (4, 8, True), (4, 20, True), (6, 20, True)],
)
def test_real_calls_have_the_slots_of_early_ones_that_can_be_stopped(slots: int, runs: int, crowded: bool) -> None:
    """
    At any load: guesses that nobody wants fill the pool, and each real call waits exactly as long as without them.
    """
    name = f"pool {next(_HOSTS)}"
    look = {"read_only": True, "host": name, "on_mispredict": "cancel", "eagerness": "immediate"}
    policy = {"tools": {"look": look}, "pools": {name: slots}, "limits": WIDE}
    plain, _ = agents(lambda: Pool(slots, latency_s=2.0), None, runs=runs, streams=False)
    pool, engine = agents(lambda: Pool(slots, latency_s=2.0), policy, runs=runs, wrong=1.0, streams=False)
    assert pool.waits == pytest.approx(plain.waits)
    assert pool.early > 0
    assert ("yielded" in engine.stats().discarded) is crowded


# -- services that had enough ------------------------------------------------------------------------------------------


def cooled(policy: dict[str, Any], *, turns: int, down: range, pace_s: float = 1.0) -> tuple[Api, Any, list[Any]]:
    """An agent whose guesses are all right, on an API that is down during some of its turns."""
    events: list[Any] = []

    async def main() -> tuple[Api, Any]:
        api, script = Api(), script_of(random.Random(0), turns)

        async def during(turn: int) -> None:
            api.down = turn in down
            await asyncio.sleep(pace_s)

        graph = speculate(
            agent_graph(ScriptedModel(script=script, during=during), [api.tool()]), policy, predictor=Oracle(script)
        )
        speculation_of(graph).events(at_once(events.append))
        await graph.ainvoke(START_INPUT, {"recursion_limit": 1000})
        return api, speculation_of(graph)

    ran = run(main())
    assert ran.error is None
    return *ran.result, [event for event in events if isinstance(event, Switched)]


def test_a_tool_is_left_alone_when_its_service_is_overloaded() -> None:
    """
    One early call meets the 429, and none follows until the pause is over, of which there is an event.
    """
    policy = {"tools": {"look": True}, "limits": {"cool_down_s": 20.0}}
    api, engine, switches = cooled(policy, turns=40, down=range(2, 4))
    early = [at for at, was_early in [*api.taken, *api.rejected] if was_early]
    (since,) = [at for at, was_early in api.rejected if was_early]
    assert not [at for at in early if since < at < since + 20.0]
    assert [at for at in early if at > since + 20.0]
    assert [(s.scope, s.name, s.state, s.reason, s.status) for s in switches] == [
        ("tool", "look", "off", "overloaded", 429),
        ("tool", "look", "on", "overloaded", 429),
    ]
    assert switches[0].pause_s == 20.0
    assert engine.stats().switched == {"tool off": 1, "tool on": 1}
    assert engine.stats().denied["cooling_down"] > 0


def test_the_other_tools_of_its_host_are_left_alone_too() -> None:
    """
    Nobody asks a service that has too much to do by another door; a tool of another host goes on.
    """

    async def main() -> tuple[dict[str, int], Any]:
        api, other = Api(), Api()
        api.down = True
        script = [ask((name, {"id": id})) for id in range(2) for name in ("look", "peek", "find")] + [AIMessage("done")]
        tools = [api.tool("look"), api.tool("peek"), other.tool("find")]
        same = {"read_only": True, "host": "overloaded.example.org"}
        policy = {
            "tools": {"look": same, "peek": same, "find": {"read_only": True, "host": "other.example.org"}},
            "rates": {"overloaded.example.org": "1000/second", "other.example.org": "1000/second"},
        }
        graph = speculate(
            agent_graph(ScriptedModel(script=script, pace_s=1.0), tools), policy, predictor=Oracle(script)
        )
        await graph.ainvoke(START_INPUT)
        return {"api": len(api.rejected), "other": other.early}, speculation_of(graph)

    ran = run(main())
    assert ran.error is None
    asked, engine = ran.result
    assert asked == {"api": 1 + 4, "other": 2}  # the first early call, and then the real ones
    assert engine.stats().switched == {"tool off": 2, "host off": 1}  # each that was answered so
    assert engine.stats().by_tool["peek"].denied == {"cooling_down": 2}


@pytest.mark.parametrize("status", [429, 503])
def test_a_real_call_that_is_rejected_is_a_reason_too(status: int) -> None:
    """
    Whoever heard it; and the owner is told for how long.
    """

    async def main() -> tuple[int, Any]:
        early = 0

        async def look(id: int) -> str:
            "Look something up."
            nonlocal early
            early += is_early()
            if id == 0:
                raise TooMany(status)
            return "found"

        tool = StructuredTool.from_function(
            coroutine=look, name="look", description="Look something up.", handle_tool_error=True
        )
        script = [ask(("look", {"id": id})) for id in range(5)] + [AIMessage("done")]
        foresees = Oracle([AIMessage("nothing"), *script[1:]])
        model = ScriptedModel(script=script, pace_s=1.0, streams=False)
        graph = speculate(agent_graph(model, [tool]), {"tools": {"look": True}}, predictor=foresees)
        await graph.ainvoke(START_INPUT)
        (verdict,) = speculation_of(graph).explain()
        return early, verdict

    ran = run(main())
    assert ran.error is None
    early, verdict = ran.result
    assert early == 0
    assert (verdict.allowed, verdict.reason) == (False, "cooling_down")
    assert verdict.detail == f"its service answered {status}; it is left alone for 56 s"


@pytest.mark.parametrize(("failing", "stays"), [(2, True), (3, False)])
def test_a_tool_is_left_alone_after_three_attempts_that_failed_in_a_row(failing: int, stays: bool) -> None:
    """
    Whatever the error; after fewer it goes on.
    """

    async def main() -> Any:
        async def look(id: int) -> str:
            "Look something up."
            if is_early() and id < failing:
                raise ValueError("no")
            return "found"

        tool = StructuredTool.from_function(coroutine=look, name="look", description="Look something up.")
        script = [ask(("look", {"id": id})) for id in range(6)] + [AIMessage("done")]
        graph = speculate(
            agent_graph(ScriptedModel(script=script, pace_s=1.0), [tool]),
            {"tools": {"look": {"read_only": True, "eagerness": "moderate"}}},
            predictor=Oracle(script),
        )
        await graph.ainvoke(START_INPUT)
        return speculation_of(graph)

    ran = run(main())
    assert ran.error is None
    engine = ran.result
    assert engine.stats().hits == (6 - failing if stays else 0)
    assert engine.stats().switched == ({} if stays else {"tool off": 1})
