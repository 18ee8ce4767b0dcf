"""T13: the callback managers of an early body say of its run what the real call's say, or nothing.

The library promises that a tool which scopes its answer by what its run manager knows (the tenant in the metadata, say)
answers early as it would for real; what nobody can know before the call is there trips a wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agents import GRAPHS, WAYS, Oracle, ScriptedModel, ask, canonical
from early import contents, last_state
from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool
from langgraph.config import get_config

from langgraph_speculate import speculate, speculation_of

SCRIPT = [ask(("orders", {})), AIMessage("done")]
QUICK = {"read_only": True, "eagerness": "immediate"}
RUN: dict[str, Any] = {"metadata": {"tenant": "acme"}, "tags": ["vip"]}
Look = Callable[[Any, Any], Any]


class Orders(BaseTool):
    """Orders of whomever the managers name."""

    name: str = "orders"
    description: str = "Orders."
    look: Any

    def _run(self, config: RunnableConfig, run_manager: CallbackManagerForToolRun | None = None) -> str:
        return f"orders of {self.look(run_manager, config)}"

    async def _arun(self, config: RunnableConfig, run_manager: AsyncCallbackManagerForToolRun | None = None) -> str:
        return f"orders of {self.look(run_manager, config)}"


def _within(run: Any, _: Any) -> Any:
    """What a runnable within the tool is told, which is called the old way, with the child's callbacks."""

    def inner(_: Any, run_manager: Any) -> Any:
        return run_manager.metadata.get("tenant"), run_manager.tags

    return RunnableLambda(inner).invoke("x", {"callbacks": run.get_child()})


KNOWN: dict[str, Look] = {
    "run manager": lambda run, _: run.metadata.get("tenant"),
    "run manager, subscript": lambda run, _: run.metadata["tenant"],
    "run manager, inherited": lambda run, _: run.inheritable_metadata["tenant"],
    "run manager, the tool's own": lambda run, _: run.metadata["unit"],
    "config": lambda _, config: config["callbacks"].metadata.get("tenant"),
    "config of the context": lambda *_: get_config()["callbacks"].metadata.get("tenant"),
    "child": lambda run, _: run.get_child().metadata["tenant"],
    "child, tagged": lambda run, _: run.get_child("part").inheritable_metadata["tenant"],
    "copy": lambda _, config: config["callbacks"].copy().metadata["tenant"],
    "sync": lambda run, _: getattr(run, "get_sync", lambda: run)().metadata["tenant"],
    "within": _within,
}
UNKNOWN: dict[str, Look] = {
    "tags": lambda run, _: sorted(run.tags),
    "inherited tags": lambda run, _: run.inheritable_tags,
    "tags in the config": lambda _, config: sorted(config["callbacks"].tags),
    "tags of a child": lambda run, _: run.get_child("part").tags,
    "run id": lambda run, _: bool(run.run_id),
    "parent's id": lambda run, _: run.parent_run_id is None,
    "parent's id in the config": lambda _, config: config["callbacks"].parent_run_id is None,
    "handlers": lambda run, _: type(run.handlers).__name__,
    "all metadata": lambda run, _: sorted(run.metadata),
    "node": lambda run, _: run.metadata.get("langgraph_node"),
    "node of a child": lambda run, _: run.get_child().metadata["langgraph_node"],
    "what is not there": lambda run, _: run.metadata.get("region", "nowhere"),
    "the tool's own, which a child has not": lambda run, _: run.get_child().metadata.get("unit"),
    "the tool's own, inherited": lambda run, _: run.inheritable_metadata.get("unit"),
    "sync, tags": lambda run, _: getattr(run, "get_sync", lambda: run)().tags,
}


def _told(look: Look, way: str, build: Any, wrap: bool) -> tuple[Any, Any]:
    tool = Orders(look=look, tags=["own"], metadata={"unit": "EUR"})
    graph = build(ScriptedModel(script=SCRIPT, pace_s=0.02 * wrap), [tool])
    if wrap:
        graph = speculate(graph, {"tools": {"orders": QUICK}}, predictor=Oracle(SCRIPT))
    told = canonical(contents(last_state(graph, way, config=RUN)))
    return told, speculation_of(graph).stats() if wrap else None


@pytest.mark.parametrize("build", ["create_agent", "create_react_agent", "hand_written"])
@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("way", WAYS)
def test_the_callers_metadata_is_read_ahead(way: str, kind: str, build: str) -> None:
    """
    Wherever the body looks for the tenant, it is the caller's, and the early answer is used.
    """
    plain, _ = _told(KNOWN[kind], way, GRAPHS[build], wrap=False)
    told, stats = _told(KNOWN[kind], way, GRAPHS[build], wrap=True)
    assert told == plain
    assert stats.hits == 1


@pytest.mark.parametrize("build", ["create_agent", "hand_written"])
@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("way", WAYS)
def test_what_only_the_real_call_knows_trips(way: str, kind: str, build: str) -> None:
    """
    Same answer; the early one is dropped.
    """
    plain, _ = _told(UNKNOWN[kind], way, GRAPHS[build], wrap=False)
    told, stats = _told(UNKNOWN[kind], way, GRAPHS[build], wrap=True)
    assert told == plain
    assert (stats.launched, dict(stats.discarded)) == (1, {"tainted": 1})
