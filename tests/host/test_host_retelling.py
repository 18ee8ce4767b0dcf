"""What an early body wrote to streams and callbacks is told as its real call would have told it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from agents import ASYNC_WAYS, WAYS, drive
from langchain_core.callbacks import BaseCallbackHandler, adispatch_custom_event, dispatch_custom_event
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_stream_writer
from readers import reader, wrapped

from langgraph_speculate import speculation_of


class Notes(BaseCallbackHandler):
    """Notes custom events as they are when they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.told.append(repr(data))


# -- what is written again and again ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Progress:
    done: int = 0


def counting(make: Any, count: Any, flavour: str) -> BaseTool:
    """A tool that tells its progress by one and the same object."""

    def read(id: int) -> str:
        "Read."
        progress = make()
        for number in range(3):
            count(progress, number)
            dispatch_custom_event("progress", progress)
            get_stream_writer()(progress)
        return "read"

    async def aread(id: int) -> str:
        "Read."
        progress = make()
        for number in range(3):
            count(progress, number)
            await adispatch_custom_event("progress", progress)
            get_stream_writer()(progress)
        return "read"

    body: dict[str, Any] = {"func": read} if flavour == "sync" else {"coroutine": aread}
    return StructuredTool.from_function(**body, name="read", description="Read.")


FLAVOURS = [*((way, "sync") for way in WAYS), *((way, "async") for way in ASYNC_WAYS)]


def _in_dict(progress: dict[str, Any], number: int) -> None:
    progress["done"] = [number]


def _in_object(progress: Progress, number: int) -> None:
    progress.done = number


@pytest.mark.parametrize(("way", "flavour"), FLAVOURS)
def test_what_a_body_writes_again_and_again_is_told_as_it_was_each_time(way: str, flavour: str) -> None:
    """
    A dict that the body goes on changing is copied when it is written.
    """
    notes = Notes()
    graph = wrapped(counting(dict, _in_dict, flavour))
    drive(graph, way, config={"callbacks": [notes]})

    assert speculation_of(graph).stats().hits == 1
    assert notes.told == ["{'done': [0]}", "{'done': [1]}", "{'done': [2]}"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_chunks_that_a_body_writes_again_and_again_are_streamed_as_they_were_each_time(way: str) -> None:
    """
    The stream shows what it was given, not what became of it.
    """
    graph = wrapped(counting(dict, _in_dict, "sync"))

    assert drive(graph, way, stream_mode="custom") == [{"done": [0]}, {"done": [1]}, {"done": [2]}]
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize(("way", "flavour"), FLAVOURS)
def test_an_object_that_a_body_writes_and_changes_is_told_by_the_real_call(way: str, flavour: str) -> None:
    """
    Objects are handed on as they are. What one was like cannot be told later, so the early result is not used.
    """
    notes = Notes()
    graph = wrapped(counting(Progress, _in_object, flavour))
    drive(graph, way, config={"callbacks": [notes]})

    assert speculation_of(graph).stats().discarded == {"tainted": 1}
    assert notes.told == ["Progress(done=0)", "Progress(done=1)", "Progress(done=2)"]


def test_an_object_that_a_body_writes_and_leaves_alone_is_handed_on() -> None:
    """
    The very object, as in the plain graph.
    """
    written = Progress(7)

    def body(id: int) -> str:
        get_stream_writer()({"progress": written})
        return "read"

    graph = wrapped(reader(body))
    (chunk,) = drive(graph, "stream", stream_mode="custom")

    assert speculation_of(graph).stats().hits == 1
    assert chunk["progress"] is written
