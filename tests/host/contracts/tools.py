"""What the package counts on of `host/compat/tools.py`."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from agents import World, notebook
from langchain.tools import InjectedState, InjectedStore, ToolRuntime
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, Tool, tool

from contracts import contract
from langgraph_speculate.host.compat import tools


@contract("Injections", "injections_of")
def _injections() -> None:
    @tool
    def whole(
        id: int, state: Annotated[dict[str, Any], InjectedState], field: Annotated[list[Any], InjectedState("messages")]
    ) -> str:
        "Takes state."
        return ""

    @tool
    def other(id: int, runtime: ToolRuntime, store: Annotated[Any, InjectedStore()]) -> str:
        "Takes the rest."
        return ""

    @tool
    def marked(id: int, mine: Annotated[str, InjectedToolCallId]) -> str:
        "Takes the id of its call."
        return mine

    assert tools.injections_of(whole) == tools.Injections({"state": None, "field": "messages"}, None, None, None)
    assert tools.injections_of(other) == tools.Injections({}, "store", "runtime", None)
    assert tools.injections_of(marked) == tools.Injections({}, None, None, "mine")
    assert tools.body_parameters(marked, {"id": "1"}, None, "call_1")[:2] == ((), {"id": 1, "mine": "call_1"})
    call = {"type": "tool_call", "id": "call_1", "name": "marked", "args": {"id": 1}}
    assert marked.invoke(call).content == "call_1"


@contract("tool_call_wrappers")
def _tool_call_wrappers() -> None:
    def around(request: Any, handler: Any) -> Any:
        return handler(request)

    assert tools.tool_call_wrappers(tools.ToolNode([])) == []
    assert tools.tool_call_wrappers(tools.ToolNode([], wrap_tool_call=around)) == [around]


@contract("has_steps_before_tools")
def _has_steps_before_tools() -> None:
    prompt, node = RunnableLambda(lambda x: x), tools.ToolNode([])
    assert tools.has_steps_before_tools(prompt | node)
    assert not tools.has_steps_before_tools(node)
    assert not tools.has_steps_before_tools(node | prompt)


@contract("ToolNode", "clone_tool_node", "tools_by_name")
def _tool_nodes() -> None:
    given = notebook(World())
    node = tools.ToolNode(given, handle_tool_errors=True)
    assert tools.tools_by_name(node) == {one.name: one for one in given}
    others = {one.name: one.model_copy() for one in given}
    clone = tools.clone_tool_node(node, lambda tool: others[tool.name])
    assert tools.tools_by_name(clone) == others
    assert tools.tools_by_name(node)["find"] is given[0]
    assert clone.tools_by_name["find"] is others["find"]
    assert list(clone.tools_by_name) == list(others)
    node.tools_by_name.pop("find")
    assert "find" not in clone.tools_by_name
    clone.tools_by_name["find"] = given[0]
    assert node.tools_by_name["find"] is given[0]
    assert clone.func.__self__ is clone
    assert clone.afunc.__self__ is clone
    assert clone._handle_tool_errors is True


@contract("body_slots", "RUN_MANAGER")
def _body_slots() -> None:
    def body(id: int, config: RunnableConfig, run_manager: Any = None) -> None:
        return None

    def plain(id: int) -> None:
        return None

    assert tools.body_slots(body) == {"config", "run_manager"}
    assert tools.body_slots(plain) == frozenset()
    assert tools.body_slots(StructuredTool._run) == {"config", "run_manager"}


@contract("body_parameters")
def _body_parameters() -> None:
    @tool
    def look(id: int, detail: str = "short") -> str:
        "Look."
        return ""

    given = {"id": "7"}
    assert tools.body_parameters(look, given) == ((), {"id": 7, "detail": "short"}, given)
    assert given == {"id": "7"}
    with pytest.raises(ValueError, match="id"):
        tools.body_parameters(look, {"id": "x"})


@contract("shown_content")
def _shown_content() -> None:
    for content in ("sent", 7, ["a", {"b": "é"}], {"rows": [1, None]}, [{"type": "text", "text": "sent"}], []):
        look = StructuredTool.from_function(lambda value=content: value, name="look", description="Look.")
        message = look.invoke({"type": "tool_call", "name": "look", "id": "c", "args": {}})
        assert tools.shown_content(content) == message.content


@contract("injected_arguments")
def _injected_arguments() -> None:
    @tool
    def look(
        id: int,
        state: Annotated[Any, InjectedState],
        tool_call_id: Annotated[str, InjectedToolCallId],
    ) -> str:
        "Look."
        return ""

    assert tools.injected_arguments(look) == {"state", "tool_call_id"}
    assert tools.injected_arguments(notebook(World())[0]) == frozenset()


@contract("has_own_run")
def _has_own_run() -> None:
    class Own(BaseTool):
        name: str = "own"
        description: str = "Own."

        def _run(self) -> str:
            return ""

        def run(self, *args: Any, **kwargs: Any) -> Any:
            return ""

    assert tools.has_own_run(Own)
    assert not tools.has_own_run(type(notebook(World())[0]))


@contract("own_ways", "is_hosts")
def _own_ways() -> None:
    class Own(StructuredTool):
        def invoke(self, *args: Any, **kwargs: Any) -> Any:
            return ""

    assert tools.own_ways(Own) == ["invoke"]
    assert [tools.own_ways(kind) for kind in (Tool, StructuredTool)] == [[], []]
    assert [tools.is_hosts(kind) for kind in (Tool, StructuredTool, Own)] == [True, True, False]


@contract("set_class")
def _set_class() -> None:
    made = notebook(World())[0]
    kind = type("Kind", (type(made),), {"__module__": __name__})
    tools.set_class(made, kind)
    assert type(made) is kind
    assert made.invoke({"query": "x"}) == "found x"
