"""Scripted models, worlds and graphs for the host's tests: real LangGraph graphs, no network, no randomness."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import re
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.warnings import LangGraphDeprecatedSinceV10
from typing_extensions import TypedDict

from langgraph_speculate.core import Call, Candidate, History

WAYS = ("invoke", "ainvoke", "stream", "astream")
ASYNC_WAYS = ("ainvoke", "astream")
START_INPUT = {"messages": [("user", "go")]}
_ROUNDS = 5  # of the event loop before a model waits, as a client needs them to send its request


# -- models ----------------------------------------------------------------------------------------------------------


def ask(*calls: tuple[str, dict[str, Any]], text: str = "", prefix: str = "c") -> AIMessage:
    """A model message with tool calls; ids are the position, so that plain and wrapped runs agree."""
    return AIMessage(
        text,
        tool_calls=[
            {"name": name, "args": args, "id": f"{prefix}-{name}-{index}", "type": "tool_call"}
            for index, (name, args) in enumerate(calls)
        ],
    )


class ScriptedModel(BaseChatModel):
    """Answers by how many answers the conversation already holds, so one model serves any number of runs at once.

    Args:
        script: Messages, or errors to raise.
        pace_s: Seconds that a message with calls takes. A last answer takes none: there is nothing to hide in it.
        during: Called with the number of the answer while it is "generated"; may return an awaitable in async runs.
        travels_s: Seconds that a request of an async run takes to leave and come back, at the very least.
    """

    script: list[Any]
    pace_s: float = 0.0
    during: Any = None
    streams: bool = True
    travels_s: float = 0.004

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _answer(self, messages: Sequence[BaseMessage]) -> tuple[int, AIMessage]:
        turn = sum(isinstance(message, AIMessage) for message in messages)
        answer = self.script[turn % len(self.script)]
        if callable(answer):
            answer = answer(messages)
        if isinstance(answer, BaseException):
            raise answer
        return turn, answer.model_copy(deep=True)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self._think(messages)
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages)[1])])

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        await self._athink(messages)
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages)[1])])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        self._think(messages)
        for chunk in self._chunks(messages):
            manager = kwargs.get("run_manager") or (args[1] if len(args) > 1 else None)
            if manager is not None:
                manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        await self._athink(messages)
        for chunk in self._chunks(messages):
            manager = kwargs.get("run_manager") or (args[1] if len(args) > 1 else None)
            if manager is not None:
                await manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk

    def _chunks(self, messages: Sequence[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages)[1]
        yield ChatGenerationChunk(message=AIMessageChunk(content=answer.content))
        for index, call in enumerate(answer.tool_calls):
            text = json.dumps(call["args"])
            half = len(text) // 2
            for name, id, part in ((call["name"], call["id"], text[:half]), (None, None, text[half:])):
                piece = {"name": name, "args": part, "id": id, "index": index, "type": "tool_call_chunk"}
                yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))

    def _think(self, messages: Sequence[BaseMessage]) -> None:
        if self.during is not None:
            self.during(sum(isinstance(message, AIMessage) for message in messages))
        if self.pace_s and self._asks(messages):
            time.sleep(self.pace_s)

    async def _athink(self, messages: Sequence[BaseMessage]) -> None:
        if self.travels_s:
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
            await asyncio.sleep(self.travels_s)
        if self.during is not None:
            waiting = self.during(sum(isinstance(message, AIMessage) for message in messages))
            if inspect.isawaitable(waiting):
                await waiting
        if self.pace_s and self._asks(messages):
            await asyncio.sleep(self.pace_s)

    def _asks(self, messages: Sequence[BaseMessage]) -> bool:
        answer = self.script[sum(isinstance(message, AIMessage) for message in messages) % len(self.script)]
        return not isinstance(answer, AIMessage) or bool(answer.tool_calls)


# -- predictors ------------------------------------------------------------------------------------------------------


class Oracle:
    """Foresees a script perfectly.

    Args:
        script: The model's script.
        bounded: Whether it says of itself that it answers at once.
        also: Calls it always predicts besides, which nobody will make.
    """

    def __init__(
        self, script: Sequence[Any], bounded: bool = True, also: Sequence[tuple[str, dict[str, Any]]] = ()
    ) -> None:
        self.bounded = bounded
        self.learned: list[list[str]] = []
        self._script = script
        self._also = also

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        turn = sum(type(event).__name__ == "ModelTurn" for event in history.events)
        answer = self._script[turn % len(self._script)]
        calls = answer.tool_calls if isinstance(answer, AIMessage) else []
        wanted = [Candidate(Call(call["name"], call["args"]), 0.9, "oracle") for call in calls]
        return [*wanted, *(Candidate(Call(name, args), 0.8, "noise") for name, args in self._also)][:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        self.learned.append([call.name for call in calls])


class Fixed:
    """Always predicts the same calls."""

    bounded = True

    def __init__(self, *calls: tuple[str, dict[str, Any]]) -> None:
        self._calls = calls

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(Call(name, args), 0.9, "fixed") for name, args in self._calls][:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        return None


# -- worlds ----------------------------------------------------------------------------------------------------------


class World:
    """What tools read and write, and a log of every body that ran.

    Attributes:
        log: (tool, arguments) of every body that started, in order.
        ended: The same for those that ended.
        release: Set when the test is over, so that no hung body survives it.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.ended: list[tuple[str, dict[str, Any]]] = []
        self.notes: dict[int, str] = {1: "one", 2: "two", 3: "three"}
        self.release = threading.Event()
        self._changed = threading.Condition()

    def begin(self, tool: str, **args: Any) -> None:
        with self._changed:
            self.log.append((tool, args))
            self._changed.notify_all()

    def end(self, tool: str, **args: Any) -> None:
        with self._changed:
            self.ended.append((tool, args))
            self._changed.notify_all()

    def count(self, tool: str) -> int:
        """Bodies of a tool that started."""
        return sum(name == tool for name, _ in self.log)

    def wait_for(self, tool: str, times: int = 1, *, ended: bool = False, timeout: float = 5.0) -> None:
        """Block until so many bodies of a tool have started (or ended)."""

        def enough() -> bool:
            return sum(name == tool for name, _ in (self.ended if ended else self.log)) >= times

        with self._changed:
            if not self._changed.wait_for(enough, timeout):
                raise AssertionError(f"{tool} was not {'ended' if ended else 'started'} {times} times: {self.log}")


def make_tool(
    name: str, body: Callable[..., Any], flavour: str = "sync", latency_s: float = 0.0, **settings: Any
) -> BaseTool:
    """A StructuredTool around *body* with a sync, an async, or both kinds of bodies."""

    def sync(**kwargs: Any) -> Any:
        if latency_s:
            time.sleep(latency_s)
        return body(**kwargs)

    async def native(**kwargs: Any) -> Any:
        await asyncio.sleep(latency_s)
        return body(**kwargs)

    schema = (
        settings.pop("args_schema", None) or StructuredTool.from_function(body, name=name, description=name).args_schema
    )
    return StructuredTool(
        name=name,
        description=settings.pop("description", name),
        args_schema=schema,
        func=sync if flavour in ("sync", "both") else None,
        coroutine=native if flavour in ("async", "both") else None,
        **settings,
    )


def notebook(world: World, flavour: str = "sync", latency_s: float = 0.0) -> list[BaseTool]:
    """Three tools: two that read, one that writes."""

    def find(query: str) -> str:
        "Find notes."
        world.begin("find", query=query)
        world.end("find", query=query)
        return f"found {query}"

    def read(id: int, detail: str = "short") -> str:
        "Read a note."
        world.begin("read", id=id, detail=detail)
        text = f"{detail}: {world.notes.get(id)}"
        world.end("read", id=id, detail=detail)
        return text

    def write(id: int, text: str) -> str:
        "Write a note."
        world.begin("write", id=id, text=text)
        world.notes[id] = text
        world.end("write", id=id, text=text)
        return "written"

    return [make_tool(body.__name__, body, flavour, latency_s) for body in (find, read, write)]


EAGERLY = {"read_only": True, "eagerness": "immediate"}  # for tools that answer at once: none is worth a guess

UNBRAKED = {"cool_down_s": 0}  # such tools save nothing, so that any waste would switch them off; nor do failures
NOTEBOOK_POLICY: dict[str, Any] = {"tools": {"find": EAGERLY, "read": EAGERLY}}
NOTEBOOK_SCRIPT = [
    ask(("find", {"query": "a"}), ("read", {"id": 1}), text="looking"),
    ask(("read", {"id": 2, "detail": "long"})),
    ask(("write", {"id": 2, "text": "new"})),
    ask(("read", {"id": 2}), ("read", {"id": 3})),
    AIMessage("done"),
]
NOTEBOOK_HITS = 5


# -- graphs ----------------------------------------------------------------------------------------------------------


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def agent_graph(model: BaseChatModel, tools: Sequence[BaseTool], **settings: Any) -> Any:
    return create_agent(model, list(tools), **settings)


def react_graph(model: BaseChatModel, tools: Sequence[BaseTool], **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
        return create_react_agent(model, list(tools), **settings)


def _model_node(model: BaseChatModel, tools: Sequence[BaseTool]) -> Any:
    bound = model.bind_tools(list(tools))

    def call_model(state: State) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall_model(state: State) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    return RunnableLambda(call_model, afunc=acall_model, name="model")


def tool_node_graph(model: BaseChatModel, tools: Sequence[BaseTool], node: Any = None, **settings: Any) -> Any:
    """A hand-built graph: model, then a ToolNode (or *node*), then the model again."""
    builder = StateGraph(
        settings.pop("state", State), **{k: settings.pop(k) for k in ("context_schema",) if k in settings}
    )
    builder.add_node("model", _model_node(model, tools))
    builder.add_node("tools", ToolNode(list(tools)) if node is None else node)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(**settings)


def hand_written_graph(model: BaseChatModel, tools: Sequence[BaseTool], **settings: Any) -> Any:
    """A tool node of one's own that goes through the calls one after the other."""
    by_name = {tool.name: tool for tool in tools}

    def run_tools(state: State) -> Any:
        return {"messages": [by_name[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}

    async def arun_tools(state: State) -> Any:
        answers = []
        for call in state["messages"][-1].tool_calls:
            answers.append(await by_name[call["name"]].ainvoke(call))
        return {"messages": answers}

    return tool_node_graph(model, tools, RunnableLambda(run_tools, afunc=arun_tools, name="tools"), **settings)


def sync_only_graph(model: BaseChatModel, tools: Sequence[BaseTool], **settings: Any) -> Any:
    """As `hand_written_graph`, with sync functions only."""
    by_name = {tool.name: tool for tool in tools}
    bound = model.bind_tools(list(tools))

    def call_model(state: State) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    def run_tools(state: State) -> Any:
        answers: list[ToolMessage] = []
        for call in state["messages"][-1].tool_calls:
            answers.append(by_name[call["name"]].invoke(call))
        return {"messages": answers}

    builder = StateGraph(State)
    builder.add_node("model", call_model)
    builder.add_node("tools", run_tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(**settings)


GRAPHS: dict[str, Callable[..., Any]] = {
    "create_agent": agent_graph,
    "create_react_agent": react_graph,
    "tool_node": tool_node_graph,
    "hand_written": hand_written_graph,
}


# -- running and comparing -------------------------------------------------------------------------------------------


def drive(graph: Any, way: str, input: Any = START_INPUT, config: Any = None, **kwargs: Any) -> list[Any]:
    """Run a graph one of the four ways and return every chunk; of the invokes, the final state."""
    if way == "invoke":
        return [graph.invoke(input, config, **kwargs)]
    if way == "stream":
        return list(graph.stream(input, config, **kwargs))
    return asyncio.run(adrive(graph, way, input, config, **kwargs))


async def adrive(graph: Any, way: str, input: Any = START_INPUT, config: Any = None, **kwargs: Any) -> list[Any]:
    """`drive` for the two async ways."""
    if way == "ainvoke":
        return [await graph.ainvoke(input, config, **kwargs)]
    return [chunk async for chunk in graph.astream(input, config, **kwargs)]


def outcome(run: Callable[[], Any]) -> Any:
    """What a run returns, or the type and text of what it raises."""
    try:
        return canonical(run())
    except BaseException as error:  # noqa: BLE001 - it is what is compared
        return f"{type(error).__module__}.{type(error).__qualname__}: {_steady(str(error))}"


_ID = re.compile(
    r"(lc_run--)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(-\d+)?|(?<=interrupt_id=')[0-9a-f]{32}"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?")
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def _steady(text: str) -> str:
    return _ADDRESS.sub("<address>", _TIME.sub("<time>", _ID.sub("<id>", text)))


def canonical(value: Any) -> Any:
    """A value as plain data in which generated ids, times and addresses are alike."""
    if isinstance(value, str):
        return _steady(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {_steady(key) if isinstance(key, str) else repr(key): canonical(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: canonical(getattr(value, name)) for name in value._fields}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, map(canonical, value)))
    if isinstance(value, BaseMessage):
        return {"<message>": type(value).__name__, **canonical(value.model_dump())}
    if hasattr(value, "model_dump"):
        return {"<model>": type(value).__name__, **canonical(value.model_dump())}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {item.name: canonical(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return {"<record>": type(value).__name__, **fields}
    return _steady(repr(value))


def in_steps(chunks: Sequence[Any], key: Callable[[Any], Any]) -> list[Any]:
    """Chunks as plain data; those in a row with the same *key* are sorted, because parallel calls end in any order."""
    groups: list[tuple[Any, list[Any]]] = []
    for chunk in chunks:
        at = key(chunk)
        if at is None or not groups or groups[-1][0] != at:
            groups.append((at, []))
        groups[-1][1].append(canonical(chunk))
    return [(str(at), sorted(group, key=repr)) for at, group in groups]


class Seen(BaseCallbackHandler):
    """A user's own callback handler: what it is told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self.events.append(("tool_start", (kwargs.get("name") or (serialized or {}).get("name"), input_str)))

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self.events.append(("tool_end", canonical(output)))

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(("tool_error", repr(error)))

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append(("custom", (name, data)))

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.events.append(("retriever_start", query))

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.events.append(("retriever_end", len(documents)))

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.events.append(("model_start", len(messages[0])))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.events.append(("model_end", None))
