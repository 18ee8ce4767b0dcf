"""T9: the call that was run ahead is not the call that is answered: something between model and tool edits the
arguments under the same call id, or a half-streamed call already looks complete.

The library promises that a result is adopted only for exactly the arguments the body would receive: after every hook,
coerced, defaults filled in, types kept; never by call id, and never before the call is final. That the key is injective
and knows no order is shown in `tests/core/test_core_calls.py`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from agents import EAGERLY, UNBRAKED, WAYS, Fixed, ScriptedModel, World, agent_graph, ask, hand_written_graph, make_tool
from attacks import answers, final, holding
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import BaseTool
from langchain_core.utils.json import parse_partial_json

from langgraph_speculate import speculate, speculation_of

# -- hooks that edit arguments under the same id -----------------------------------------------------------------------


def _look(world: World) -> BaseTool:
    def look(id: Any, detail: str = "short") -> str:
        "Look something up."
        world.begin("look", id=id, detail=detail)
        return f"{id!r} {detail}"

    return make_tool("look", look, "both")


class AfterModel(AgentMiddleware):  # type: ignore[type-arg]
    """Rewrites the message the model wrote."""

    speculation_transparent = True  # said wrongly, so that it does not keep all from running ahead

    def after_model(self, state: Any, runtime: Any) -> Any:
        message = state["messages"][-1]
        calls = [{**call, "args": {**call["args"], "id": 2}} for call in message.tool_calls]
        return {"messages": [message.model_copy(update={"tool_calls": calls})]} if calls else None


class AroundModel(AgentMiddleware):  # type: ignore[type-arg]
    """Rewrites the answer on its way out of the model call."""

    speculation_transparent = True

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self._rewritten(handler(request))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return self._rewritten(await handler(request))

    def _rewritten(self, response: Any) -> Any:
        for call in response.result[-1].tool_calls:
            call["args"] = {**call["args"], "id": 2}
        return response


class AroundTool(AgentMiddleware):  # type: ignore[type-arg]
    """Rewrites the call on its way to the tool."""

    speculation_transparent = True

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return handler(self._rewritten(request))

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(self._rewritten(request))

    def _rewritten(self, request: Any) -> Any:
        return request.override(tool_call={**request.tool_call, "args": {**request.tool_call["args"], "id": 2}})


HOOKS = {kind.__name__: kind for kind in (AfterModel, AroundModel, AroundTool)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_call_that_a_hook_edits_is_answered_for_the_edited_arguments(hook: str, way: str, world: World) -> None:
    """
    What the model wrote was read ahead; under the same id the tool is asked for something else, and answers that.
    """
    graph = speculate(
        agent_graph(
            ScriptedModel(script=[ask(("look", {"id": 1})), AIMessage("done")], during=_tried(way, world)),
            [_look(world)],
            middleware=[HOOKS[hook]()],
        ),
        {"tools": {"look": EAGERLY}},
        predictor=Fixed(("look", {"id": 1})),
    )
    assert answers(final(graph, way)) == ["2 short"]
    stats = speculation_of(graph).stats()
    assert stats.hits == 0
    assert stats.launched >= 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_guess_of_the_edited_arguments_is_adopted(hook: str, way: str, world: World) -> None:
    """
    The control: it is the arguments that decide. What a hook drops of the model's message is dropped early, too.
    """
    graph = speculate(
        agent_graph(
            ScriptedModel(script=[ask(("look", {"id": 1})), AIMessage("done")], during=_tried(way, world)),
            [_look(world)],
            middleware=[HOOKS[hook]()],
        ),
        {"tools": {"look": {**EAGERLY, "scope": "run"}}},
        predictor=Fixed(("look", {"id": 2})),
    )
    assert answers(final(graph, way)) == ["2 short"]
    assert speculation_of(graph).stats().hits == 1


def _tried(way: str, world: World) -> Any:
    return holding(way, lambda: bool(world.log))


# -- the same, as seen by people ---------------------------------------------------------------------------------------

ALIKE = [1, 1.0, True, "1", "01", " 1", "١", [1], {"1": 1}, None, "None", 0, False, "", -0.0, 2**63, float(2**63)]


@pytest.mark.parametrize("way", WAYS)
def test_values_that_look_alike_are_different_calls(way: str) -> None:
    """
    Every pair of look-alikes: the model asks for one while the other was read ahead; only equal pairs are hits.
    """
    world = World()
    guess: list[Any] = [None]

    class Guess(Fixed):
        def predict(self, history: Any, *, k: int) -> Any:
            self._calls = (("look", {"id": guess[0]}),)
            return super().predict(history, k=k)

    asked: list[Any] = [None]
    script = [lambda messages: ask(("look", {"id": asked[0]})), AIMessage("done")]
    graph = speculate(
        hand_written_graph(ScriptedModel(script=script), [_look(world)]),
        {"tools": {"look": EAGERLY}, "limits": UNBRAKED},
        predictor=Guess(),
    )
    draw = random.Random(WAYS.index(way))
    hits = 0
    for left in ALIKE:
        for right in [*draw.sample(ALIKE, 3), left]:
            guess[0], asked[0] = left, right
            assert answers(final(graph, way)) == [f"{right!r} short"]
            hits += left is right
    stats = speculation_of(graph).stats()
    assert hits // 2 <= stats.hits <= hits
    assert stats.launched >= len(ALIKE) * 4


# -- calls that are still being written --------------------------------------------------------------------------------


class Dribbling(ScriptedModel):
    """Streams one call's arguments letter by letter."""

    def _chunks(self, messages: Any) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages)[1]
        for call in answer.tool_calls:
            for index, letter in enumerate(json.dumps(call["args"])):
                name, id = (call["name"], call["id"]) if index == 0 else (None, None)
                piece = {"name": name, "args": letter, "id": id, "index": 0, "type": "tool_call_chunk"}
                yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
        yield ChatGenerationChunk(message=AIMessageChunk(content=answer.content, chunk_position="last"))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_answered_for_a_call_that_was_only_half_written(way: str) -> None:
    """
    Whatever a prefix of the arguments parses to was read ahead; the answer is that of the whole.
    """
    whole = {"id": 1234, "detail": "long and longer"}
    text = json.dumps(whole)
    prefixes = {json.dumps(parse_partial_json(text[:end])) for end in range(8, len(text))} - {text, "{}"}
    assert len(prefixes) > 15
    world = World()
    for prefix in sorted(prefixes):
        graph = speculate(
            hand_written_graph(Dribbling(script=[ask(("look", whole)), AIMessage("done")]), [_look(world)]),
            {"tools": {"look": EAGERLY}},
            predictor=Fixed(("look", json.loads(prefix))),
        )
        assert answers(final(graph, way)) == ["1234 long and longer"]
        stats = speculation_of(graph).stats()
        assert (stats.launched, stats.hits) == (0, 0) if "id" not in json.loads(prefix) else (1, 0)
