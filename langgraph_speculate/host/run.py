"""The scope of one agent run: the core's session, driven by model turns, real calls, real time and one lock.

Opened around `stream`/`astream` (or by the middleware) and closed in a `finally`: hooks at a run's end are skipped by
most ways a run can end. Nothing of a run outlives it, and no other run sees its results.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.history import Origin
from langgraph_speculate.core.journal import Title
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.shadow import ShadowSession
from langgraph_speculate.host.calls import RealCalls
from langgraph_speculate.host.compat.configs import RUN_KEY
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.elsewhere import Elsewhere
from langgraph_speculate.host.launcher import Launcher
from langgraph_speculate.host.lookahead import Lookahead
from langgraph_speculate.host.previewer import Previewer
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.recollection import Recollection
from langgraph_speculate.host.runner import Runner, wind_down
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.host.turns import Turns
from langgraph_speculate.host.warmer import Warmer
from langgraph_speculate.observe.langsmith import RunTrace

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine


class Run:
    """One agent run.

    Args:
        engine: What the runs of one wrapped graph share.
        id: Unique in the process.
        toolbox: The graph's tools.
        view: What the gate may know about the run.
        loop: The run's event loop, or None for a sync run.
        depth: How deep in nested graphs the run lives; 0 for a root graph.
        thread: Early bodies of earlier runs of the same thread, by tool.
        origin: Whose run it is.
        title: What stands above its events.

    Attributes:
        turns: The model's turns of the run.
        calls: Its real calls.
        elsewhere: Those of them that need not reach a body of ours.
        previewer: Its model calls that are started on remembered results, or None if none is.
    """

    def __init__(
        self,
        engine: Engine,
        id: str,
        toolbox: Toolbox,
        view: RunView,
        loop: asyncio.AbstractEventLoop | None,
        depth: int,
        thread: Counter[str],
        origin: Origin,
        title: Title,
    ) -> None:
        self.id = id
        self.depth = depth
        self._engine = engine
        kind, economy = (ShadowSession, engine.imagined) if view.level == "shadow" else (Session, engine.economy)
        self._session = kind(id, view, engine.policy.limits, thread, economy, title)
        mode = "on" if view.level != "shadow" and view.blocked is None else "shadow"
        trace = RunTrace(engine.tracing, mode, engine.warn)
        self._driver = Driver(self._session, Runner(loop), engine.lock, engine.publish, engine.warn, trace)
        is_async = loop is not None
        proposer = Proposer(engine, self._driver, toolbox, view, is_async)
        warmer = Warmer(engine, self._driver, toolbox, proposer, view, is_async)
        lookahead = self._lookahead = Lookahead(
            engine, self._driver, proposer, Launcher(engine, self._driver, proposer)
        )
        self.previewer: Previewer | None = None
        if engine.memory is not None:
            recollection = Recollection(engine, self._driver, toolbox, engine.memory, origin)
            self.previewer = Previewer(engine, self._driver, recollection, lookahead)
        self.turns = Turns(engine, self._driver, proposer, warmer, origin, lookahead, self.previewer)
        self.calls = RealCalls(engine, self._driver, toolbox, self.turns, is_async, self.previewer)
        self.elsewhere = Elsewhere(self._driver, toolbox)

    # -- the model ---------------------------------------------------------------------------------------------------

    def is_own(self, config: Mapping[str, Any]) -> bool:
        """Whether something that starts with *config* belongs to this run, and not to one of its tools."""
        return (config.get("configurable") or {}).get(RUN_KEY) is self and not self.calls.executing()

    def binds_tools(self, parameters: Mapping[str, Any]) -> bool:
        """Whether a model call can end in tool calls, as far as its parameters tell."""
        return self._engine.binds_tools(bool(parameters.get("tools") or parameters.get("functions")))

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> list[asyncio.Task[None]]:
        """End the run; returns tasks that are winding down."""
        if self.previewer is not None:
            self.previewer.close()
        self.elsewhere.close()
        self._driver.decide(self._session.close)
        self._lookahead.close()
        self._engine.forget(self)
        return self._driver.runner.close()

    async def aclose(self) -> None:
        """End the run and wait until its tasks have cleaned up."""
        await wind_down(self.close())
