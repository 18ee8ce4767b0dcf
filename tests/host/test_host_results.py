"""What a model would see of a result that it has not asked for yet."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool

from langgraph_speculate.core.history import text_of
from langgraph_speculate.host.results import text_shown


def returning(value: Any, **settings: Any) -> StructuredTool:
    return StructuredTool.from_function(lambda: value, name="look", description="Look.", **settings)


@pytest.mark.parametrize(
    "value",
    [
        "sent",
        "",
        7,
        1.5,
        True,
        None,
        {"a": [1, {"b": "é"}]},
        ["x", "y"],
        [],
        ("x", 1),
        [{"type": "text", "text": "hi"}],
    ],
    ids=repr,
)
def test_it_is_the_text_of_the_message_that_the_tool_would_make(value: Any) -> None:
    message = returning(value).invoke({"type": "tool_call", "name": "look", "id": "c", "args": {}})
    assert isinstance(message, ToolMessage)
    assert text_shown(returning(value), value) == text_of(message.content)


def test_of_content_and_artifact_it_is_the_content() -> None:
    tool = returning(("shown", object()), response_format="content_and_artifact")
    assert text_shown(tool, ("shown", object())) == "shown"


def test_nobody_elses_code_runs_for_it() -> None:
    """
    What only its own class can write is not known, wherever it stands.
    """

    class Loud:
        def __str__(self) -> str:
            raise AssertionError("somebody asked")

        __repr__ = __str__

    class Text(str):
        __slots__ = ()

    for value in (Loud(), [Loud()], {"a": Loud()}, {Text("a"): 1}, Text("a")):
        assert text_shown(returning("x"), value) is None


def test_a_result_in_a_cycle_is_not_known() -> None:
    value: list[Any] = []
    value.append(value)
    assert text_shown(returning("x"), value) is None
