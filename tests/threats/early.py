"""What the tests of the gates share: tools that know which bodies ran early, graphs with a place to fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agents import START_INPUT, State, World, canonical, drive, make_tool
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from langgraph_speculate import current_speculation

THREAD: dict[str, Any] = {"configurable": {"thread_id": "t"}}


def moment() -> str:
    """Inside of a body: whether it runs early or for a real call."""
    return "real" if current_speculation() is None else "early"


def readers(world: World, *names: str, flavour: str = "both") -> list[BaseTool]:
    """Tools that read by id; the world's log has (name, id, when)."""

    def reader(name: str) -> BaseTool:
        def body(id: int) -> str:
            world.begin(name, id=id, when=moment())
            return f"{name} {id}"

        return make_tool(name, body, flavour)

    return [reader(name) for name in names or ("read", "find")]


def bodies(world: World, name: str | None = None, when: str | None = None) -> list[int]:
    """The ids of the bodies that ran, in order."""
    return [
        args["id"] for tool, args in world.log if name in (None, tool) and (when is None or args.get("when") == when)
    ]


def last_state(graph: Any, way: str, input: Any = START_INPUT, config: Any = None, **kwargs: Any) -> Any:
    """The final state of a run, in any of the four ways."""
    extra = {"stream_mode": "values"} if way in ("stream", "astream") else {}
    return drive(graph, way, input, config, **extra, **kwargs)[-1]


def transcript(state: Any) -> list[Any]:
    """The messages of a state as plain data."""
    messages: Sequence[BaseMessage] = state["messages"] if isinstance(state, dict) else state.messages
    return [canonical(message) for message in messages]


def contents(state: Any) -> list[Any]:
    """What the tools of a run answered."""
    messages = state["messages"] if isinstance(state, dict) else state.messages
    return [message.content for message in messages if message.type == "tool"]


def ask_a_person(question: str) -> Any:
    """A helper of somebody's own: nodes that call it do not refer to `interrupt` themselves."""
    return interrupt(question)


def model_node(model: Any, tools: Sequence[BaseTool]) -> Any:
    """A hand-written model node for sync and async runs."""
    bound = model.bind_tools(list(tools))

    def call(state: State) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall(state: State) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    return RunnableLambda(call, afunc=acall, name="model")


def wired(
    model: Any, tools: Sequence[BaseTool], wire: Callable[[Any], None], saver: Any = None, node: Any = None
) -> Any:
    """A hand-built graph of model and tools, with *wire* to put something between them."""
    builder = StateGraph(State)
    builder.add_node("model", model_node(model, tools))
    builder.add_node("tools", ToolNode(list(tools)) if node is None else node)
    builder.add_edge(START, "model")
    builder.add_edge("tools", "model")
    wire(builder)
    return builder.compile(checkpointer=saver)


def asks(state: Any) -> bool:
    """Whether the model's last message has calls."""
    return bool(getattr(state["messages"][-1], "tool_calls", None))
