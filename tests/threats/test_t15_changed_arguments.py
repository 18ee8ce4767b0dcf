"""T15: a body that changes its arguments in place changes the message that asked for it, in a wrapped graph too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agents import EAGERLY, WAYS, Fixed, Oracle, ScriptedModel, agent_graph, ask, hand_written_graph, tool_node_graph
from attacks import answers, final
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

BUILDS = {"create_agent": agent_graph, "tool_node": tool_node_graph, "hand_written": hand_written_graph}
AS_ASKED = {"query": "a", "filter": {"tags": ["x"]}}
AS_LEFT = {"query": "a", "filter": {"tags": ["x"], "page": 1}}


def _search(change: Callable[[Any], None]) -> BaseTool:
    def search(query: str, filter: Any) -> str:
        change(filter)
        return f"found {query}"

    async def asearch(query: str, filter: Any) -> str:
        return search(query, filter)

    return StructuredTool.from_function(search, asearch, name="search", description="Search.")


def _paged(filter: Any) -> None:
    filter.setdefault("page", 1)


def _asked(messages: Any) -> list[Any]:
    return [call["args"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", [*BUILDS, "middleware"])
def test_a_call_whose_body_changes_its_arguments_runs_for_real(how: str, way: str) -> None:
    """
    What plain runs show in the message, wrapped ones show; the tool is not run ahead any more.
    """
    script = [ask(("search", AS_ASKED)), ask(("search", AS_ASKED)), AIMessage("done")]
    model, policy, tools = ScriptedModel(script=script, pace_s=0.02), {"tools": {"search": EAGERLY}}, [_search(_paged)]
    plain = final(agent_graph(ScriptedModel(script=script), [_search(_paged)]), way)
    middleware = SpeculationMiddleware(policy, predictor=Oracle(script))
    if how == "middleware":
        graph, handle = agent_graph(model, tools, middleware=[middleware]), middleware.speculation
    else:
        graph = speculate(BUILDS[how](model, tools), policy, predictor=Oracle(script))
        handle = speculation_of(graph)
    messages = final(graph, way)

    assert answers(messages) == answers(plain) == ["found a", "found a"]
    assert _asked(messages) == _asked(plain) == [AS_LEFT, AS_LEFT]
    assert (handle.stats().launched, handle.stats().hits) == (1, 0)
    assert [verdict.reason for verdict in handle.explain()] == ["tripped"]


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_not_given_again_where_the_body_changes_its_arguments(way: str) -> None:
    """
    Each call's own message shows the change.
    """
    script = [ask(("search", AS_ASKED)), ask(("search", AS_ASKED)), AIMessage("done")]
    policy = {"tools": {"search": {"read_only": True, "read_through": True}}}
    graph = speculate(agent_graph(ScriptedModel(script=script), [_search(_paged)]), policy, predictor=Fixed())

    assert _asked(final(graph, way)) == [AS_LEFT, AS_LEFT]
    assert speculation_of(graph).stats().repeats == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_only_looks_at_its_arguments_is_adopted(way: str) -> None:
    """
    Reading nested arguments, or putting back what was changed, is no reason.
    """

    def looked(filter: Any) -> None:
        filter["page"] = 1
        del filter["page"]

    script = [ask(("search", AS_ASKED)), AIMessage("done")]
    model = ScriptedModel(script=script, pace_s=0.02)
    graph = speculate(agent_graph(model, [_search(looked)]), {"tools": {"search": EAGERLY}}, predictor=Oracle(script))

    assert _asked(final(graph, way)) == [AS_ASKED]
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_changes_what_its_schema_made_for_it_is_adopted(way: str) -> None:
    """
    A list of numbers is copied where it is validated: nobody else can see what becomes of it.
    """

    def sort(items: list[int]) -> str:
        items.sort()
        return str(items)

    script = [ask(("sort", {"items": [2, 1]})), AIMessage("done")]
    model = ScriptedModel(script=script, pace_s=0.02)
    tool = StructuredTool.from_function(sort, name="sort", description="Sort.")
    graph = speculate(agent_graph(model, [tool]), {"tools": {"sort": EAGERLY}}, predictor=Oracle(script))
    messages = final(graph, way)

    assert answers(messages) == ["[1, 2]"]
    assert _asked(messages) == [{"items": [2, 1]}]
    assert speculation_of(graph).stats().hits == 1
