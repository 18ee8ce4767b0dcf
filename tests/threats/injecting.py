"""A tool that takes what the host injects, run plain and wrapped over the same state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from agents import Oracle, ScriptedModel, ask, outcome
from early import contents, last_state, transcript
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedState, ToolNode
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_speculate import speculate, speculation_of

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
Messages = Annotated[list[Any], add_messages]


class Typed(TypedDict, total=False):
    messages: Messages
    user: str
    lang: str
    prefs: dict[str, Any]
    unset: str


class Model(BaseModel):
    messages: Messages
    user: str = ""
    lang: str = "en"
    prefs: dict[str, Any] = {}


@dataclass
class Record:
    messages: Messages
    user: str = ""
    lang: str = "en"
    prefs: Any = None


class Part(TypedDict):
    user: str


class Context(TypedDict):
    role: str


class Run:
    """A tool in a hand-built graph, plain and wrapped, over one input.

    Attributes:
        same: Whether both ended alike, down to ids and errors.
        answers: What the tool answered in the wrapped one.
        stats: Of the wrapped one.
    """

    def __init__(
        self,
        tool: Callable[[], BaseTool],
        way: str = "invoke",
        state: Any = Typed,
        runs: int = 1,
        extra: Callable[[Any], None] | None = None,
        pace_s: float = 0.01,
        bare: bool = False,
        **entry: Any,
    ) -> None:
        seen = []
        for wrap in (False, True):  # nothing runs beside the plain one, so its model need not take time
            given = {"messages": [("user", "go")], "user": "ann", "lang": "de", "prefs": {"tags": ["a"]}}
            graph = _graph(tool(), state, pace_s * wrap, extra, bare)
            if wrap:
                policy = {"tools": {"read": {"read_only": True, **entry}}}
                graph = speculate(graph, policy, predictor=Oracle(SCRIPT))
            for _ in range(runs):
                seen.append(outcome(partial(self._once, graph, way, given, None if bare else {"role": "admin"})))
        self.same = seen[:runs] == seen[runs:]
        self.answers = seen[-1]["answers"] if isinstance(seen[-1], dict) else seen[-1]
        self.stats, self.explained = speculation_of(graph).stats(), speculation_of(graph).explain()

    @staticmethod
    def _once(graph: Any, way: str, given: Any, context: Any) -> Any:
        final = last_state(graph, way, given, context=context)
        rest = final if isinstance(final, dict) else vars(final)
        others = {key: value for key, value in rest.items() if key != "messages"}
        return {"answers": contents(final), "messages": transcript(final), "state": others}


def _graph(tool: BaseTool, state: Any, pace_s: float, extra: Callable[[Any], None] | None, bare: bool) -> Any:
    bound = ScriptedModel(script=SCRIPT, pace_s=pace_s).bind_tools([tool])

    def messages(state: Any) -> Any:
        return state["messages"] if isinstance(state, dict) else state.messages

    builder = StateGraph(state, context_schema=Context)
    builder.add_node("model", lambda state: {"messages": [bound.invoke(messages(state))]})
    builder.add_node("tools", ToolNode([tool]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", lambda s: "tools" if messages(s)[-1].tool_calls else END, ["tools", END])
    builder.add_edge("tools", "model")
    if extra is not None:
        extra(builder)
    return builder.compile(store=None if bare else InMemoryStore())


def taking(annotation: Any, use: Callable[[Any], Any]) -> Callable[[], BaseTool]:
    """A tool whose second argument is injected."""

    def make() -> BaseTool:
        def read(id: int, given: Any) -> Any:
            return use(given)

        read.__annotations__ = {"id": int, "given": annotation}
        return StructuredTool.from_function(read, name="read", description="Read.")

    return make


WHOLE, ANY = Annotated[dict, InjectedState], Annotated[Any, InjectedState]
USER = {"reads_state": ["user"]}
