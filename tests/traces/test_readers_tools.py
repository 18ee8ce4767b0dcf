"""Results of tools that are messages, in every tracer's records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from langgraph_speculate.traces.readers import langfuse, langsmith, otlp
from langgraph_speculate.traces.readers.weave import Span
from langgraph_speculate.traces.skips import Malformed

MESSAGE = {"type": "tool", "tool_call_id": "c1", "content": "no such order", "status": "error"}
SEVERAL = {"role": "tool", "content": [{"type": "tool_result", "tool_use_id": id, "content": ""} for id in "ab"]}


def in_langsmith(result: Any) -> Iterator[Span]:
    record = {"run_type": "tool", "trace_id": "t", "name": "get", "inputs": {}, "outputs": {"output": result}}
    return (found.span for found in langsmith.read(record))


def in_langfuse(result: Any) -> Iterator[Span]:
    record = {"type": "TOOL", "trace_id": "t", "name": "get", "input": {}, "output": result}
    return (found.span for found in langfuse.read(record))


def in_otlp(result: Any) -> Iterator[Span]:
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": orjson.dumps(result).decode()}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
    spans = [{"traceId": "t", "name": "get", "attributes": attributes}]
    return (found.span for found in otlp.read({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))


@pytest.fixture(params=[in_langsmith, in_langfuse, in_otlp], ids=["LangSmith", "Langfuse", "OTLP"])
def tracer(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("result", [MESSAGE, {"output": MESSAGE}], ids=["bare", "as an output"])
def test_a_message_tells_its_call_its_text_and_whether_it_failed(tracer: Any, result: Any):
    """
    LangGraph's tool node answers with a message where the tool itself returned a text.
    """
    (span,) = tracer(result)

    assert (span.call, span.result, span.failed) == ("c1", "no such order", True)


def test_a_result_that_answers_several_calls_is_malformed(tracer: Any):
    """
    One record is skipped with its reason, and reading goes on.
    """
    with pytest.raises(Malformed, match="several answers"):
        list(tracer(SEVERAL))
