"""Tools that can be sent to other processes, and tools that cannot: workers import this module."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.config import get_config, get_stream_writer
from langgraph.prebuilt import InjectedState
from langgraph.types import interrupt

from langgraph_speculate import current_speculation

LANGUAGE: ContextVar[str] = ContextVar("language")
SEEN: list[int] = []


class Odd(Exception):
    """An error that no other process could read."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__("odd")


class TooMany(Exception):
    """What an HTTP client raises."""

    def __init__(self) -> None:
        super().__init__("429: slow down")
        self.status_code, self.headers = 429, {"Retry-After": "90"}


class Trap:
    """Ends the process that reads it."""

    def __reduce__(self) -> Any:
        return os._exit, (4,)


@tool
def where(id: int) -> dict[str, Any]:
    "Tell where this ran."
    thread = threading.current_thread().name
    return {"id": id, "process": os.getpid(), "thread": thread, "ahead": current_speculation() is not None}


@tool
def paged(filter: dict[str, Any]) -> str:
    "Make something of its argument."
    filter.setdefault("page", 1)
    return "found"


@tool
def whose(id: int) -> str:
    "Tell whose run this is."
    return str(get_config()["configurable"].get("user"))


@tool(response_format="content_and_artifact")
def listing(id: int) -> tuple[str, dict[str, Any]]:
    "Return more than the model sees."
    return "three", {"rows": [1, 2, 3]}


@tool
def asking(id: int) -> str:
    "Ask a person, and swallow that it cannot."
    try:
        return str(interrupt("sure?"))
    except BaseException:  # noqa: BLE001 - it is what tools do
        return "not sure"


@tool
def writing(id: int) -> str:
    "Write to the stream."
    get_stream_writer()({"id": id})
    return f"wrote {id}"


@tool
def emitting(id: int) -> str:
    "Call a chain of its own."
    return str(RunnableLambda(lambda number: f"chain {number}").invoke(id))


@tool
def opaque(id: int) -> Any:
    "Return what must not be sent."
    return Trap()


@tool
def raising(id: int) -> str:
    "Raise what cannot be sent."
    raise Odd(id, id)


@tool
def rejected(id: int) -> str:
    "Ask a service that has too much to do for early calls."
    if current_speculation() is not None:
        raise TooMany
    return f"served {id}"


@tool
def dying(id: int) -> str:
    "End its process, if it runs ahead."
    if current_speculation() is not None:
        os._exit(3)
    return f"alive {id}"


@tool
def remembering(id: int) -> str:
    "Depend on what this process has seen."
    return f"seen {SEEN}"


@tool
def configured(id: int, config: RunnableConfig) -> str:
    "Take the run's config."
    return str(len(config))


@tool
def stateful(id: int, tenant: Annotated[str, InjectedState("tenant")]) -> str:
    "Read the graph's state."
    return tenant


@tool
def speaking(id: int) -> str:
    "Read a context variable."
    return LANGUAGE.get("?")


CAN_GO = (where, whose, listing, asking, writing, emitting, opaque, raising, rejected, dying)
MUST_STAY = (remembering, configured, speaking)
