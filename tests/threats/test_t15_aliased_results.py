"""T15: an adopted object lives on in the library while the graph (or whoever reads its stream) changes it, or the other
way round, so a later call is answered with the change.

The library promises to hand each result out once and to keep nothing of it: what happens to an adopted message, its
artifact or its arguments afterwards is between its owner and the tool, as in the plain graph.
"""

from __future__ import annotations

from typing import Any

import pytest
from agents import WAYS, Oracle, ScriptedModel, agent_graph, ask, drive, hand_written_graph, make_tool
from attacks import answers, final
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import speculate, speculation_of

CALL = ("look", {"where": {"path": ["a", "b"]}})
SCRIPT = [ask(CALL), ask(CALL, prefix="d"), AIMessage("done")]
POLICY = {"tools": {"look": {"read_only": True, "scope": "run"}}}


class Row:
    """A result with an identity of its own."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.notes: list[str] = []

    def __repr__(self) -> str:
        return f"Row({self.text}, {self.notes})"


def _look(shared: bool = False) -> BaseTool:
    """Content blocks, and an artifact of nested objects; *shared*: the tool hands out the same objects each time."""
    kept = [{"type": "text", "text": "fresh"}], {"rows": [Row("fresh")], "where": None}

    def look(where: dict[str, Any]) -> Any:
        "Look something up."
        content, artifact = kept if shared else ([{"type": "text", "text": "fresh"}], {"rows": [Row("fresh")]})
        artifact["where"] = where  # type: ignore[assignment]
        return content, artifact

    return make_tool("look", look, "both", response_format="content_and_artifact")


def _spoil(message: ToolMessage) -> None:
    """Change everything about a message in place."""
    message.content.append({"type": "text", "text": "spoilt"})  # type: ignore[union-attr, arg-type]
    message.artifact["rows"][0].notes.append("spoilt")
    message.artifact["rows"].append(Row("spoilt"))
    message.artifact["where"]["path"].append("spoilt")
    message.additional_kwargs["spoilt"] = True


def _spoiling(graph: Any, way: str) -> list[str]:
    """Run, and change each tool message as soon as it is seen; what every tool message held before that."""
    seen: list[str] = []
    met = set[int]()
    extra = {"stream_mode": "values"} if "stream" in way else {}
    for chunk in drive(graph, way, **extra):
        for message in chunk["messages"]:
            if isinstance(message, ToolMessage) and id(message) not in met:
                met.add(id(message))
                seen.append(repr((message.content, message.artifact)))
                _spoil(message)
    return seen


@pytest.mark.parametrize("build", [agent_graph, hand_written_graph])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_done_to_adopted_messages_is_not_seen_by_the_next_run(way: str, build: Any) -> None:
    """
    Three runs whose messages are changed in every place as they come: the next one's are fresh.
    """
    graph = speculate(build(ScriptedModel(script=SCRIPT, pace_s=0.005), [_look()]), POLICY, predictor=Oracle(SCRIPT))
    runs = [_spoiling(graph, way) for _ in range(3)]
    assert speculation_of(graph).stats().hits >= 3
    assert len(runs[0]) == 2
    assert runs[0] == runs[1] == runs[2]
    assert "spoilt" not in str(runs)


@pytest.mark.parametrize("way", WAYS)
def test_a_message_that_a_node_changes_is_not_what_the_next_call_gets(way: str) -> None:
    """
    Within one run: the first answer is changed before the same call is made again; that is answered afresh.
    """

    def spoil_and_ask(messages: Any) -> AIMessage:
        _spoil(messages[-1])
        return ask(CALL, prefix="d")

    script = [SCRIPT[0], spoil_and_ask, AIMessage("done")]
    graph = speculate(
        hand_written_graph(ScriptedModel(script=script, pace_s=0.005), [_look()]), POLICY, predictor=Oracle(SCRIPT)
    )
    extra = {"stream_mode": "values"} if "stream" in way else {}
    tools = [m for m in drive(graph, way, **extra)[-1]["messages"] if isinstance(m, ToolMessage)]
    assert "spoilt" in repr(tools[0].content)  # the change was made, and is the owner's
    assert "spoilt" not in repr((tools[1].content, tools[1].artifact))
    assert speculation_of(graph).stats().hits >= 1


@pytest.mark.parametrize("way", WAYS)
def test_objects_that_somebody_keeps_are_found_by_the_same_check(way: str) -> None:
    """
    The control: a tool that hands out the same objects each time, in the plain graph. There changes do show.
    """
    graph = hand_written_graph(ScriptedModel(script=SCRIPT), [_look(shared=True)])
    assert "spoilt" in str([_spoiling(graph, way) for _ in range(2)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("more", [{}, {"read_through": True, "ttl_s": 30}], ids=["once", "read through"])
def test_a_set_is_shown_in_the_order_that_it_has(more: dict[str, Any], way: str) -> None:
    """
    A copy of a set that grew and shrank may go through its items in another order; the model reads the tool's own.
    """

    def ids(what: str) -> set[int]:
        found = set(range(100))
        found -= set(range(100)) - {1, 16}
        return found

    assert list(ids("")) != list(set(ids("")))
    script = [ask(("ids", {"what": "a"})), ask(("ids", {"what": "a"}), prefix="d"), AIMessage("done")]
    tool = make_tool("ids", ids, "both")
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.02), [tool]),
        {"tools": {"ids": {"read_only": True, **more}}},
        predictor=Oracle(script),
    )
    plain = answers(final(agent_graph(ScriptedModel(script=script), [tool]), way))
    assert answers(final(graph, way)) == plain
    assert speculation_of(graph).stats().hits >= 1
