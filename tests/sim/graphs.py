"""The graphs of the zoo, built once per form and used by any number of pairs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolCallLimitMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.types import Send
from langgraph.warnings import LangGraphDeprecatedSinceV10
from pydantic import BaseModel
from typing_extensions import TypedDict

from tests.sim.models import ModelFailure, ZooModel, number_of
from tests.sim.tools import tool_of
from tests.sim.world import WORLDS

MODELS = {
    "zoo": ZooModel(),
    "streaming": ZooModel(streaming=True),
    "v1": ZooModel(streaming=True, output_version="v1"),
    "whole": ZooModel(streaming=False),
    "other": ZooModel(voice="other"),
}
"""Models that stream when somebody looks, always, always in LangChain's own blocks of content, and never;
and one that answers otherwise."""
STEADY = ZooModel(streaming=True, steady=True)
AROUND: dict[str, Callable[[list[BaseTool]], Any]] = {
    "retried": lambda tools: (
        MODELS["streaming"]
        .bind_tools(tools)
        .with_retry(retry_if_exception_type=(ModelFailure,), wait_exponential_jitter=False, stop_after_attempt=2)
    ),
    "falling_back": lambda tools: (
        MODELS["streaming"]
        .bind_tools(tools)
        .with_fallbacks([STEADY.bind_tools(tools)], exceptions_to_handle=(ModelFailure,))
    ),
}
"""Models with something around that tries again when a stream breaks."""


@dataclass(frozen=True)
class Form:
    """What a compiled graph of the zoo is made of.

    Attributes:
        kind: Which builder.
        tools: (name, flavour) of each tool.
        middleware: Names of middleware, outermost first, for agents.
        settings: Further settings, for the builder.
        model: How its model answers, one of `MODELS`; outside of agents also one of `AROUND`.
    """

    kind: str
    tools: tuple[tuple[str, str], ...]
    middleware: tuple[tuple[Any, ...], ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    model: str = "zoo"


@cache
def graph_of(form: Form) -> Any:
    """The compiled graph of a form."""
    tools = [tool_of(*tool) for tool in form.tools]
    return BUILDERS[form.kind](form, tools)


class State(TypedDict):
    """Messages and nothing else."""

    messages: Annotated[list[Any], add_messages]


class MoodState(State):
    """A channel that tools read."""

    mood: str


class MoodyAgentState(AgentState[Any]):
    """The same for agents."""

    mood: str


class Verdict(BaseModel):
    """A structured answer."""

    score: int


def _agent(form: Form, tools: list[BaseTool]) -> Any:
    settings = dict(form.settings)
    if settings.pop("moody", False):
        settings["state_schema"] = MoodyAgentState
    if settings.pop("structured", False):
        settings["response_format"] = ToolStrategy(Verdict)
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    return create_agent(
        MODELS[form.model], tools, middleware=[MIDDLEWARE[name](*rest) for name, *rest in form.middleware], **settings
    )


def _react(form: Form, tools: list[BaseTool]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
        return create_react_agent(MODELS[form.model], tools)


def _loop(model: Any, tools: Any, moody: bool = False, **settings: Any) -> Any:
    builder = StateGraph(MoodState if moody else State)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(**settings)


def _bound(form: Form, tools: list[BaseTool]) -> Any:
    around = AROUND.get(form.model)
    return MODELS[form.model].bind_tools(tools) if around is None else around(tools)


def _model_node(form: Form, tools: list[BaseTool]) -> Any:
    bound = _bound(form, tools)

    def call_model(state: State) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall_model(state: State) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    return RunnableLambda(call_model, afunc=acall_model, name="model")


def _tool_node(form: Form, tools: list[BaseTool]) -> Any:
    settings = dict(form.settings)
    handled = settings.pop("handled", True)
    return _loop(_model_node(form, tools), ToolNode(tools, handle_tool_errors=handled), **settings)


def _hand_written(form: Form, tools: list[BaseTool]) -> Any:
    """Goes through the calls one after the other."""
    by_name = {tool.name: tool.model_copy() for tool in tools}  # the library makes these adopt in place

    async def run_tools(state: State) -> Any:
        answers = []
        for call in state["messages"][-1].tool_calls:
            answers.append(await by_name[call["name"]].ainvoke(call))
        return {"messages": answers}

    return _loop(_model_node(form, tools), run_tools)


def _retagging(form: Form, tools: list[BaseTool]) -> Any:
    """Calls tools with another config than the model's."""
    by_name = {tool.name: tool.model_copy() for tool in tools}

    async def run_tools(state: State, config: RunnableConfig) -> Any:
        answers = []
        for call in state["messages"][-1].tool_calls:
            elsewhere = {"configurable": {**config["configurable"], "region": "elsewhere"}}
            other: Any = {0: {}, 1: {"tags": ["of the node"]}, 2: elsewhere, 3: {"metadata": {"by": "the node"}}}
            other = other[int(call["args"]["id"])]
            answers.append(await by_name[call["name"]].ainvoke(call, other))
        return {"messages": answers}

    return _loop(_model_node(form, tools), run_tools)


def _varying(form: Form, tools: list[BaseTool]) -> Any:
    """Asks its model in another way from turn to turn: by its settings with other options, with a reminder at the end
    of the messages, or another model."""
    (varies,) = dict(form.settings).values()
    bound = [MODELS[name].bind_tools(tools) for name in (form.model, "other")]

    async def call_model(state: State) -> Any:
        messages = state["messages"]
        odd = number_of(messages) // 2 % 2
        options = {"stop": ["odd"]} if odd and varies == "options" else {}
        given = [*messages, SystemMessage("remember")] if odd and varies == "reminders" else messages
        return {"messages": [await bound[odd if varies == "models" else 0].ainvoke(given, **options)]}

    return _loop(call_model, ToolNode(tools))


def _sync_nodes(form: Form, tools: list[BaseTool]) -> Any:
    """Sync functions only, which an async run calls in threads."""
    by_name = {tool.name: tool.model_copy() for tool in tools}
    bound = _bound(form, tools)

    def call_model(state: State) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    def run_tools(state: State) -> Any:
        answers: list[ToolMessage] = []
        for call in state["messages"][-1].tool_calls:
            answers.append(by_name[call["name"]].invoke(call))
        return {"messages": answers}

    return _loop(call_model, run_tools)


def _fan(form: Form, tools: list[BaseTool]) -> Any:
    """One task of a hand-written node for each call."""
    by_name = {tool.name: tool.model_copy() for tool in tools}

    async def run_one(call: Any) -> Any:
        return {"messages": [await by_name[call["name"]].ainvoke(call)]}

    def spread(state: State) -> Any:
        calls = state["messages"][-1].tool_calls
        return [Send("worker", call) for call in calls] or END

    builder = StateGraph(State)
    builder.add_node("model", _model_node(form, tools))
    builder.add_node("worker", run_one)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", spread, ["worker", END])
    builder.add_edge("worker", "model")
    return builder.compile()


def _between(form: Form, tools: list[BaseTool]) -> Any:
    """A node of its own between model and tools."""

    async def look(state: State) -> Any:
        return {"messages": []}

    builder = StateGraph(State)
    builder.add_node("model", _model_node(form, tools))
    builder.add_node("look", look)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, {"tools": "look", END: END})
    builder.add_edge("look", "tools")
    builder.add_edge("tools", "model")
    return builder.compile()


def _parent(form: Form, tools: list[BaseTool]) -> Any:
    """An agent as a node of another graph."""

    async def greet(state: State) -> Any:
        return {"messages": []}

    builder = StateGraph(State)
    builder.add_node("greet", greet)
    builder.add_node("agent", _agent(form, tools))
    builder.add_edge(START, "greet")
    builder.add_edge("greet", "agent")
    return builder.compile()


BUILDERS: dict[str, Callable[[Form, list[BaseTool]], Any]] = {
    "agent": _agent,
    "react": _react,
    "tool_node": _tool_node,
    "hand_written": _hand_written,
    "retagging": _retagging,
    "varying": _varying,
    "sync_nodes": _sync_nodes,
    "fan": _fan,
    "between": _between,
    "parent": _parent,
}


# -- middleware ------------------------------------------------------------------------------------------------------


class Rewrite(AgentMiddleware[Any, Any, Any]):
    """Changes the arguments of a call under the same id."""

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        args = request.tool_call["args"]
        if "id" in args:
            call = {**request.tool_call, "args": {**args, "id": (int(args["id"]) + 1) % 4}}
            request = request.override(tool_call=call)
        return await handler(request)


class Recalls(AgentMiddleware[Any, Any, Any]):
    """Changes what the model asked for, in the message itself."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        last = state["messages"][-1]
        calls = [_next(call) for call in last.tool_calls]
        return {"messages": [last.model_copy(update={"tool_calls": calls})]} if calls else None


def _next(call: Any) -> Any:
    id = call["args"].get("id")
    return {**call, "args": {**call["args"], "id": (id + 1) % 4}} if isinstance(id, int) and id % 2 else call


class Guard(AgentMiddleware[Any, Any, Any]):
    """Forbids tools to some users."""

    def __init__(self, denied: tuple[str, ...]) -> None:
        super().__init__()
        self.denied = denied

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        user = request.runtime.config["configurable"]["user_id"]
        if user in self.denied or WORLDS().was_revoked(user):
            return ToolMessage(f"{user} is forbidden", tool_call_id=request.tool_call["id"], status="error")
        return await handler(request)


class Lists(AgentMiddleware[Any, Any, Any]):
    """Changes the content of a result in place, as careless code does."""

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        message = await handler(request)
        if isinstance(message, ToolMessage) and isinstance(message.content, list):
            message.content.append({"type": "text", "text": "seen"})
        if isinstance(message, ToolMessage) and isinstance(message.artifact, dict):
            message.artifact["rows"].append("seen")
        return message


def _even(request: Any) -> bool:
    return int(request.tool_call["args"].get("id", 0)) % 2 == 0


def _approval(mode: str, gated: tuple[str, ...], sometimes: bool = False) -> HumanInTheLoopMiddleware:
    asked: Any = {"allowed_decisions": ["approve", "edit", "reject"]}
    if sometimes:
        asked["when"] = _even
    return HumanInTheLoopMiddleware(interrupt_on=dict.fromkeys(gated, asked), interrupt_mode=mode)


def _tool_limit(tool: str | None, limit: int, then: str) -> ToolCallLimitMiddleware:
    return ToolCallLimitMiddleware(tool_name=tool, run_limit=limit, exit_behavior=then)


def _model_limit(limit: int, then: str) -> ModelCallLimitMiddleware:
    return ModelCallLimitMiddleware(run_limit=limit, exit_behavior=then)


MIDDLEWARE: dict[str, Callable[..., Any]] = {
    "approval": _approval,
    "tool_limit": _tool_limit,
    "model_limit": _model_limit,
    "rewrite": Rewrite,
    "recalls": Recalls,
    "retry": lambda: ModelRetryMiddleware(max_retries=1, retry_on=(ModelFailure,), initial_delay=0.0, jitter=False),
    "fallback": lambda: ModelFallbackMiddleware(STEADY),
    "guard": Guard,
    "lists": Lists,
}
