"""Graphs of six kinds, for a doctor to look at. None of them may be run: models and tools raise."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedState, ToolNode, create_react_agent, tools_condition
from langgraph.warnings import LangGraphDeprecatedSinceV10
from typing_extensions import TypedDict

from langgraph_speculate import SpeculationMiddleware, from_server, speculate


class Silent(BaseChatModel):
    """A model that nobody may call; without a `_stream`, it cannot stream."""

    @property
    def _llm_type(self) -> str:
        return "silent"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        raise AssertionError("a doctor calls no model")


class Streaming(Silent):
    """One that could stream."""

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield from ()


@tool
def get_order(order_id: str) -> str:
    """Look up an order."""
    raise AssertionError("a doctor calls no tool")


@tool
def send_mail(to: str, text: str) -> str:
    """Send a mail."""
    raise AssertionError("a doctor calls no tool")


@tool
def read_page(url: str) -> str:
    """Read a page of the web."""
    raise AssertionError("a doctor calls no tool")


@tool
async def find_notes(query: str) -> str:
    """Find notes."""
    time.sleep(0.1)
    raise AssertionError("a doctor calls no tool")


@tool
def look_around(state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Look around."""
    raise AssertionError("a doctor calls no tool")


@tool(return_direct=True)
def get_answer(question: str) -> str:
    """Answer at once."""
    raise AssertionError("a doctor calls no tool")


@tool
def get_price(article: str) -> str:
    """Look up a price."""
    raise AssertionError("a doctor calls no tool")


get_price.metadata = {"read_only": True}
send_invoice = send_mail.model_copy(update={"name": "send_invoice", "metadata": {"read_only": True}})
TOOLS = [get_order, send_mail, read_page, find_notes, look_around, get_answer, get_price]

agent = create_agent(Streaming(), [*TOOLS, send_invoice], checkpointer=InMemorySaver())

with warnings.catch_warnings():
    warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
    react = create_react_agent(Silent(), TOOLS)


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


_bound = Streaming().bind_tools(TOOLS)


def call_model(state: State) -> Any:
    return {"messages": [_bound.invoke(state["messages"])]}


def builder() -> Any:
    """Hand-built; its ToolNode lacks a tool that the model is told of."""
    made = StateGraph(State)
    made.add_node("model", call_model)
    made.add_node("tools", ToolNode([one for one in TOOLS if one is not read_page]))
    made.add_edge(START, "model")
    made.add_conditional_edges("model", tools_condition, ["tools", END])
    made.add_edge("tools", "model")
    return made


hand_built = builder().compile()
deep = create_deep_agent(model=Streaming(), tools=[get_order, send_mail])
approving = create_agent(
    Streaming(), [get_order, send_mail], middleware=[HumanInTheLoopMiddleware(interrupt_on={"send_mail": True})]
)
stopping = create_agent(Streaming(), [get_order, send_mail], interrupt_before=["tools"])
wrapped = speculate(create_agent(Streaming(), TOOLS), {"tools": {"get_order": True}})
inside = create_agent(Streaming(), TOOLS, middleware=[SpeculationMiddleware({"tools": {"get_order": True}})])


async def with_mcp() -> Any:
    """A factory, as projects with MCP servers have it."""
    server = {"command": sys.executable, "args": [str(Path(__file__).with_name("doctor_mcp_server.py"))]}
    client = MultiServerMCPClient({"billing": {"transport": "stdio", **server}})
    return create_agent(Streaming(), from_server(await client.get_tools(), "billing"))


def nested_annotations(config: dict[str, Any]) -> Any:
    """The other shape in which adapters pass annotations on; a factory that wants a config."""
    assert "configurable" in config
    hints = {"read_only_hint": True, "open_world_hint": False}
    said = get_order.model_copy(update={"metadata": {"mcp": {"tool": {"annotations": hints}, "server": {"name": "x"}}}})
    return create_agent(Streaming(), from_server([said], "billing"))


def no_graph() -> Any:
    return AIMessage("no graph")


def broken() -> Any:
    raise RuntimeError("the database is away")
