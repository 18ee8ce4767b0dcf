"""What an early body wrote to streams and callbacks is told as its real call would have told it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest
from agents import ASYNC_WAYS, EAGERLY, START_INPUT, WAYS, Oracle, ScriptedModel, State, agent_graph, drive
from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    BaseCallbackHandler,
    CallbackManagerForToolRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import TimeoutPolicy
from readers import POLICY, SCRIPT, reader, wrapped

from langgraph_speculate import speculate, speculation_of


class Notes(BaseCallbackHandler):
    """Notes custom events as they are when they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.told.append(repr(data))


def both(tool: BaseTool, way: str, config: Any) -> tuple[Any, Any]:
    """The wrapped graph, when a plain one and then that have run; and what both answered."""
    plain = agent_graph(ScriptedModel(script=SCRIPT), [tool])
    answers = [drive(plain, way, config=config())]
    graph = wrapped(tool)
    answers.append(drive(graph, way, config=config()))
    return graph, answers


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


# -- handlers that may raise ------------------------------------------------------------------------------------------


class Censor(BaseCallbackHandler):
    """Refuses an event, and whoever tells of it hears that."""

    raise_error = True

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        raise ValueError("refused")


class Starts(BaseCallbackHandler):
    """May raise, but is told of nothing that happens within a tool."""

    raise_error = True
    ignore_custom_event = True

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        """A tool is called."""

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        raise ValueError("refused")


def telling(flavour: str) -> BaseTool:
    """A tool that has another answer where what it tells is refused."""

    def read(id: int) -> str:
        "Read."
        try:
            dispatch_custom_event("note", {"id": id})
        except ValueError as error:
            return f"fallback: {error}"
        return "read"

    async def aread(id: int) -> str:
        "Read."
        try:
            await adispatch_custom_event("note", {"id": id})
        except ValueError as error:
            return f"fallback: {error}"
        return "read"

    body: dict[str, Any] = {"func": read} if flavour == "sync" else {"coroutine": aread}
    return StructuredTool.from_function(**body, name="read", description="Read.")


@pytest.mark.parametrize(("way", "flavour"), FLAVOURS)
def test_a_handler_that_may_raise_is_told_by_the_real_call(way: str, flavour: str) -> None:
    """
    What it raises reaches the body, which may make something else of it: nothing of that can be made up for later.
    """
    graph, answers = both(telling(flavour), way, lambda: {"callbacks": [Censor()]})

    assert "fallback: refused" in repr(answers[0])
    assert "fallback: refused" in repr(answers[1])
    assert speculation_of(graph).stats().discarded == {"tainted": 1}


@pytest.mark.parametrize(("way", "flavour"), FLAVOURS)
def test_a_handler_that_does_not_hear_of_an_event_cannot_raise_at_it(way: str, flavour: str) -> None:
    """
    One that is there for other moments holds up nothing.
    """
    graph = wrapped(telling(flavour), policy={**POLICY, "approval_gated": []})
    drive(graph, way, config={"callbacks": [Starts()]})

    assert speculation_of(graph).stats().hits == 1


# -- whose handlers, which tags ---------------------------------------------------------------------------------------


class Heard(BaseCallbackHandler):
    """Notes what is told within a tool, and the tags with it."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_text(self, text: str, **kwargs: Any) -> None:
        self.told.append(("text", text, kwargs["tags"], kwargs["run_id"] is not None, kwargs.get("color")))

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.told.append(("event", name, kwargs["tags"]))

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        if kwargs.get("name") == "inner":
            self.told.append(("chain", inputs, kwargs["tags"]))


INNER = RunnableLambda(lambda number: number + 1).with_config(run_name="inner", tags=["inner's"])


class Speaking(BaseTool):
    """Tells things in all ways."""

    name: str = "read"
    description: str = "Read."

    def _run(self, id: int, run_manager: CallbackManagerForToolRun | None = None) -> str:
        assert run_manager is not None
        run_manager.on_text("a", color="red")
        INNER.invoke(id)
        INNER.invoke(id, {"callbacks": run_manager.get_child("child's")})
        dispatch_custom_event("note", {"id": id})
        return "read"


class AsyncSpeaking(Speaking):
    """The same as a coroutine."""

    async def _arun(self, id: int, run_manager: AsyncCallbackManagerForToolRun | None = None) -> str:
        assert run_manager is not None
        await run_manager.on_text("a", color="red")
        await INNER.ainvoke(id)
        await INNER.ainvoke(id, {"callbacks": run_manager.get_child("child's")})
        await adispatch_custom_event("note", {"id": id})
        return "read"


@pytest.mark.parametrize("whose", ["tool", "run", "both"])
@pytest.mark.parametrize(("way", "flavour"), FLAVOURS)
def test_what_a_run_manager_tells_reaches_the_tools_own_handlers_with_all_tags(
    way: str, flavour: str, whose: str
) -> None:
    """
    The manager of a tool's run knows more handlers and tags than what runs within it inherits.
    """
    told = []
    for wrap in (False, True):
        heard = Heard()
        kind = Speaking if flavour == "sync" else AsyncSpeaking
        tool = kind(callbacks=[heard] if whose != "run" else None, tags=["tool's"], metadata={"tool": 1})
        graph = wrapped(tool) if wrap else agent_graph(ScriptedModel(script=SCRIPT), [tool])
        drive(graph, way, config={"callbacks": [heard] if whose != "tool" else None, "tags": ["run's"]})
        told.append(heard.told)

    assert speculation_of(graph).stats().hits == 1
    assert told[1] == told[0]
    assert ("text", "a") in [event[:2] for event in told[1]]


# -- progress ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ASYNC_WAYS)
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_node_that_is_watched_for_progress_sees_that_of_its_calls(way: str, flavour: str) -> None:
    """
    A real call that waited for a body whose writes are held back would show none, and its node would be stopped.
    """

    def read(id: int) -> str:
        "Read."
        for step in range(6):
            time.sleep(0.15)
            get_stream_writer()(step)
        return "read"

    async def aread(id: int) -> str:
        "Read."
        for step in range(6):
            await asyncio.sleep(0.15)
            get_stream_writer()(step)
        return "read"

    body: dict[str, Any] = {"func": read} if flavour == "sync" else {"coroutine": aread}
    tool = StructuredTool.from_function(**body, name="read", description="Read.")
    bound = ScriptedModel(script=SCRIPT, pace_s=0.05).bind_tools([tool])

    async def ask_model(state: State) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("model", ask_model)
    builder.add_node("tools", ToolNode([tool]), timeout=TimeoutPolicy(idle_timeout=0.6))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    graph = speculate(builder.compile(), {"tools": {"read": EAGERLY}}, predictor=Oracle(SCRIPT))

    assert "read" in repr(drive(graph, way, START_INPUT))
    assert (speculation_of(graph).stats().hits, speculation_of(graph).stats().discarded) == (0, {"overrun": 1})
