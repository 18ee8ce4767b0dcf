"""A page that shows runs while they happen.

`app` is the page of every wrapped graph of the process, for a server that takes an application by its name, such as
LangGraph's: `"http": {"app": "langgraph_speculate.live:app"}` in `langgraph.json`. `Live` is the page of those graphs
that it is an observer of.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from langgraph_speculate.live.page import Live
from langgraph_speculate.observe.observers import EVERYWHERE

__all__ = ["Live"]


def __getattr__(name: str) -> Any:
    """`app` is made when it is first asked for: what nobody looks at is not watched."""
    if name == "app":
        return _of_the_process().app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _of_the_process() -> Live:
    live = Live()
    EVERYWHERE.add(live)
    return live
