"""What the package counts on of `host/compat/langsmith.py`."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langsmith_server import LangSmithServer

from contracts import contract
from langgraph_speculate.host.compat import configs, langsmith


@contract("traced_run", "traced_path")
def _traced() -> None:
    @tool
    def probe(x: int) -> str:
        """Look at what is traced."""
        config = configs.child_config()
        seen.append((langsmith.traced_run(config), langsmith.traced_path(config)))
        return "seen"

    seen: list[tuple[Any, list[Any]]] = []
    with LangSmithServer() as server:
        for settings in ({}, {"tracing_sampling_rate": 0.0}):
            with server.tracing(**settings):
                RunnableLambda(probe.invoke, name="around").invoke({"x": 1})
    probe.invoke({"x": 1})

    (run, path), (_, unsampled), (untraced, nowhere) = seen
    assert run is not None
    assert (run.name, [step.name for step in path]) == ("probe", ["around", "probe"])
    assert (unsampled, untraced, nowhere) == ([], None, [])
