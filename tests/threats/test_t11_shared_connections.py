"""T11: an unwanted attempt is cancelled in the middle of a request, its connection goes back to the pool with the reply
still to come, and the next caller is answered with somebody else's reply (OpenAI, 20 March 2023).

The library promises to drain by default: an attempt that is not wanted any more finishes unseen. `cancel` is for
clients that survive it, and only where the owner said so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest
from agents import ASYNC_WAYS, START_INPUT, Fixed, ScriptedModel, adrive, agent_graph, ask
from attacks import answers
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import speculate, speculation_of

STEPS = 4


class Connection:
    """Replies come in the order of the requests, and nothing in a reply says which request it answers."""

    def __init__(self) -> None:
        self._replies: deque[str] = deque()

    async def ask(self, key: str, steps: Any) -> str:
        for _ in range(STEPS):
            await steps("sending", key)
        self._replies.append(f"reply to {key}")
        for _ in range(STEPS):
            await steps("waiting", key)
        return self._replies.popleft()


class Pool:
    """One connection, handed on in turn, whatever happened to who had it before."""

    def __init__(self) -> None:
        self._free: asyncio.Queue[Connection] = asyncio.Queue()
        self._free.put_nowait(Connection())
        self.at: dict[str, tuple[str, int]] = {}
        self.slow_at: tuple[str, int] | None = None
        self.go_on = asyncio.Event()

    async def get(self, key: str) -> str:
        connection = await self._free.get()
        try:
            return await connection.ask(key, self._step)
        finally:
            self._free.put_nowait(connection)

    async def _step(self, phase: str, key: str) -> None:
        before, count = self.at.get(key, (phase, 0))
        self.at[key] = phase, count + 1 if before == phase else 1
        await (self.go_on.wait() if self.slow_at == self.at[key] else asyncio.sleep(0))


def _tools(pool: Pool) -> list[BaseTool]:
    async def look(key: str) -> str:
        "Look something up."
        return await pool.get(key)

    return [StructuredTool.from_function(coroutine=look, name="look")]


PLACES = [(phase, count) for phase in ("sending", "waiting") for count in range(1, STEPS + 1)]


async def _conversation(way: str, settings: dict[str, Any], place: tuple[str, int], *, asks_on: bool) -> Any:
    """The unwanted read is at *place* when the model's answer comes: another call, or the end of the run.

    The network is slow at that place for as long as the run lasts. Then a run without guesses looks something else up,
    with the same pool.
    """
    pool = Pool()
    pool.slow_at = None if asks_on else place

    async def during(turn: int) -> None:
        while turn == 0 and pool.at.get("unwanted") != place:
            await asyncio.sleep(0)

    script = [ask(("look", {"key": "wanted"})), AIMessage("done")] if asks_on else [AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, during=during, travels_s=0.0), _tools(pool)),
        {"tools": {"look": {"read_only": True, **settings}}, "limits": {"max_per_run": 1}},
        predictor=Fixed(("look", {"key": "unwanted"})),
    )
    told = [answers((await adrive(graph, way, START_INPUT))[-1]["messages"])] if way == "ainvoke" else []
    if way == "astream":
        told = [answers((await adrive(graph, way, START_INPUT, stream_mode="values"))[-1]["messages"])]
    asyncio.get_running_loop().call_later(0.01, pool.go_on.set)
    later = agent_graph(ScriptedModel(script=[ask(("look", {"key": "later"})), AIMessage("done")]), _tools(pool))
    told.append(answers((await later.ainvoke(START_INPUT))["messages"]))
    return told, speculation_of(graph).stats()


@pytest.mark.parametrize("way", ASYNC_WAYS)
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_contradicted_read_finishes_and_leaves_the_connection_clean(place: tuple[str, int], way: str) -> None:
    """
    The model asked for something else while the read was at this step: every reply reaches its own request.
    """
    told, stats = asyncio.run(_conversation(way, {}, place, asks_on=True))
    assert told == [["reply to wanted"], ["reply to later"]]
    assert (stats.launched, stats.discarded) == (1, {"contradicted": 1})


@pytest.mark.xfail(
    strict=True,
    reason="the end of a run cancels what drains: `Runner.close` cancels every attempt, and whoever shares its "
    "connection gets its reply. `on_mispredict = 'drain'` holds only while the run lasts.",
)
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_read_that_is_under_way_when_the_run_ends_leaves_the_connection_clean(way: str) -> None:
    """
    The model answered while the read was at any of its steps; the next run's request gets its own reply.
    """
    for place in PLACES:
        told, stats = asyncio.run(_conversation(way, {}, place, asks_on=False))
        assert stats.launched == 1
        assert told == [[], ["reply to later"]], place


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_cancelling_such_a_client_does_mix_up_replies(way: str) -> None:
    """
    The control: with `on_mispredict = "cancel"`, for which this client is not made, the attack works.
    """
    mixed = 0
    for place in PLACES:
        told, stats = asyncio.run(_conversation(way, {"on_mispredict": "cancel"}, place, asks_on=True))
        assert stats.launched == 1
        mixed += told != [["reply to wanted"], ["reply to later"]]
    assert mixed > 0
