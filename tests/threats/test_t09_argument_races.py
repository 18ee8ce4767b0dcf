"""T9: the call that was run ahead is not the call that is answered: something between model and tool edits the
arguments under the same call id, or a half-streamed call already looks complete.

The library promises that a result is adopted only for exactly the arguments the body would receive: after every hook,
coerced, defaults filled in, types and orders kept; never by call id, and never before the call is final. That the key
is injective is shown in `tests/core/test_core_calls.py`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import InitVar, dataclass
from enum import Enum
from typing import Any

import pytest
from agents import EAGERLY, UNBRAKED, WAYS, Fixed, ScriptedModel, World, agent_graph, ask, hand_written_graph, make_tool
from attacks import answers, final, holding
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import BaseTool
from langchain_core.utils.json import parse_partial_json
from pydantic import BaseModel, PrivateAttr, model_validator
from pydantic_core import core_schema

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


# -- arguments that differ where a type does not show it ---------------------------------------------------------------


@dataclass
class Scaled:
    """Made of something that is no field of it."""

    x: int
    scale: InitVar[int] = 1

    def __post_init__(self, scale: int) -> None:
        self.area = self.x * scale


class Length(BaseModel):
    """Keeps its unit out of sight."""

    x: int
    _unit: str = PrivateAttr("m")

    @model_validator(mode="wrap")
    @classmethod
    def _with_unit(cls, data: Any, handler: Any) -> Any:
        made = handler({"x": data["x"]}) if isinstance(data, dict) else handler(data)
        made._unit = data["unit"] if isinstance(data, dict) else data._unit
        return made


class Status(Enum):
    """Open: it calls all that it does not know by one name."""

    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> Status:
        made = object.__new__(cls)
        made._name_, made._value_ = "UNKNOWN", value
        return made


class Money(str):
    """A text with a currency."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        def made(value: Any) -> Money:
            money = cls(value["amount"])
            money.currency = value["currency"]  # type: ignore[attr-defined]
            return money

        return core_schema.no_info_plain_validator_function(made, json_schema_input_schema=core_schema.dict_schema())


HIDDEN: dict[str, tuple[Any, Any, Any, Any]] = {
    "an order by": (dict[str, str], lambda value: list(value), {"b": "asc", "a": "desc"}, {"a": "desc", "b": "asc"}),
    "rows": (list[Any], str, [{"b": 1, "a": 2}], [{"a": 2, "b": 1}]),
    "a set": (set[int], str, [8, 0], [0, 8]),
    "a dataclass": (Scaled, lambda value: value.area, {"x": 2, "scale": 3}, {"x": 2, "scale": 5}),
    "a model": (Length, lambda value: value._unit, {"x": 2, "unit": "km"}, {"x": 2, "unit": "mm"}),
    "an open enum": (Status, lambda value: value.value, "lost", "late"),
    "money": (
        Money,
        lambda value: value.currency,
        {"amount": "1", "currency": "EUR"},
        {"amount": "1", "currency": "USD"},
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", HIDDEN)
def test_arguments_that_a_tool_can_tell_apart_are_different_calls(what: str, way: str, world: World) -> None:
    """
    The order of what is in an argument, and what an object holds out of sight, is the tool's to see: what was read
    ahead for another such value is let go, and the right guess is a hit.
    """
    kind, seen, real, other = HIDDEN[what]

    def look(what: Any) -> str:
        world.begin("look")
        return str(seen(what))

    look.__annotations__["what"] = kind
    tool = make_tool("look", look, "both")

    def run(guess: Any) -> tuple[list[str], int]:
        world.log.clear()
        script = [ask(("look", {"what": real})), AIMessage("done")]
        graph = speculate(
            agent_graph(ScriptedModel(script=script, during=_tried(way, world)), [tool]),
            {"tools": {"look": EAGERLY}},
            predictor=Fixed(("look", {"what": guess})),
        )
        return answers(final(graph, way)), speculation_of(graph).stats().hits

    plain = answers(
        final(agent_graph(ScriptedModel(script=[ask(("look", {"what": real})), AIMessage("")]), [tool]), way)
    )
    assert run(other) == (plain, 0)
    assert run(real) == (plain, 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_that_saw_another_order_misses(way: str) -> None:
    """
    The shipped predictor has learned one order, the model writes the other; read-through keeps them apart, too.
    """

    def rows(order_by: dict[str, str]) -> str:
        "List rows."
        return "ORDER BY " + ", ".join(f"{name} {way}" for name, way in order_by.items())

    first, second = {"a": "desc", "b": "asc"}, {"b": "asc", "a": "desc"}
    model = ScriptedModel(script=[ask(("rows", {"order_by": first})), AIMessage("done")], pace_s=0.02)
    graph = speculate(
        agent_graph(model, [make_tool("rows", rows, "both")]),
        {"tools": {"rows": {**EAGERLY, "read_through": True, "ttl_s": 30}}, "limits": UNBRAKED},
    )
    for _ in range(4):
        assert answers(final(graph, way)) == ["ORDER BY a desc, b asc"]
    model.script = [
        ask(("rows", {"order_by": second})),
        ask(("rows", {"order_by": first}), prefix="d"),
        AIMessage("done"),
    ]
    assert answers(final(graph, way)) == ["ORDER BY b asc, a desc", "ORDER BY a desc, b asc"]


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
