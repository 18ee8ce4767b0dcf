"""T13: an early body that reads more of the state than was declared is found out, however it reads."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
from collections import ChainMap
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import orjson
import ormsgpack
import pytest
from agents import WAYS
from injecting import USER, WHOLE, Run, taking
from langgraph.prebuilt import ToolRuntime
from pydantic import BaseModel, TypeAdapter


class Prefs(BaseModel):
    user: str
    lang: str = "en"


def _matched(state: Any) -> str:
    match state:
        case {"lang": lang}:
            return f"speaks {lang}"
    return "speaks nothing"


def _matched_rest(state: Any) -> list[str]:
    match state:
        case {"user": _, **rest}:
            return sorted(rest)
    return []


def _updated(state: Any) -> list[str]:
    mine = {"a": 1}
    mine.update(state)
    return sorted(mine)


READS: dict[str, Callable[[Any], Any]] = {
    "subscript": lambda state: state["lang"],
    "get": lambda state: state.get("lang"),
    "get with default": lambda state: state.get("lang", "en"),
    "dict()": lambda state: sorted(dict(state)),
    "dict display": lambda state: sorted({**state}),
    "call": lambda state: (lambda **named: sorted(named))(**state),
    "json.dumps": lambda state: json.dumps(state, default=lambda _: "?"),
    "json.dumps, indented": lambda state: json.dumps(state, default=lambda _: "?", indent=1),
    "copy()": lambda state: sorted(state.copy()),
    "copy.copy": lambda state: sorted(copy.copy(state)),
    "copy.deepcopy": lambda state: sorted(copy.deepcopy(state)),
    "pickle": lambda state: "lang" in pickle.loads(pickle.dumps(state)),
    "in": lambda state: "lang" in state,
    "not in": lambda state: "lang" not in state,
    "for": lambda state: sorted(key for key in state),
    "len": len,
    "bool": bool,
    "keys": lambda state: sorted(state.keys()),
    "values": lambda state: len(list(state.values())),
    "items": lambda state: len(list(state.items())),
    "or": lambda state: sorted(state | {}),
    "or, reflected": lambda state: sorted({} | state),
    "update": _updated,
    "equal": lambda state: state == {"user": "ann"},
    "reversed": lambda state: len(list(reversed(state))),
    "repr": lambda state: "lang" in repr(state),
    "format": lambda state: f"{state}".count("lang"),
    "format_map": lambda state: "{lang}".format_map(state),
    "percent": lambda state: "%(lang)s" % state,  # noqa: UP031
    "pprint": lambda state: "lang" in pprint.pformat(state),
    "match": _matched,
    "match, rest": _matched_rest,
    "chain map": lambda state: ChainMap({}, state)["lang"],
    "proxy": lambda state: MappingProxyType(state)["lang"],
    "pop": lambda state: dict(state).pop("lang"),
    "setdefault": lambda state: state.setdefault("lang", "en"),
    "model_validate": lambda state: Prefs.model_validate(state).lang,
    "pydantic, dict": lambda state: sorted(TypeAdapter(dict[str, Any]).validate_python(state)),
    "model_validate, strict": lambda state: Prefs.model_validate(state, strict=True).lang,
}
UNSEEN: dict[str, Callable[[Any], Any]] = {
    "orjson": lambda state: len(orjson.loads(orjson.dumps(state, default=lambda _: "?"))),
    "ormsgpack": lambda state: len(ormsgpack.unpackb(ormsgpack.packb(state, default=lambda _: "?"))),
}


@pytest.mark.parametrize("place", ["InjectedState", "ToolRuntime"])
@pytest.mark.parametrize("how", [*READS, *UNSEEN])
@pytest.mark.parametrize("way", WAYS)
def test_reading_undeclared_state_trips_once_and_for_all(way: str, how: str, place: str) -> None:
    """
    Same transcript; the early result is dropped and the tool is denied from then on, in the next run too.
    """
    use = {**READS, **UNSEEN}[how]

    def answer(state: Any) -> str:
        return f"it says {use(state)}"

    if place == "InjectedState":
        run = Run(taking(WHOLE, answer), way, runs=2, **USER)
    else:
        run = Run(taking(ToolRuntime, lambda runtime: answer(runtime.state)), way, runs=2, **USER)
    assert run.same
    if how in UNSEEN:  # code in C fails instead, each time
        assert (run.stats.launched, run.stats.hits, dict(run.stats.discarded)) == (2, 0, {"failed": 2})
    else:
        assert (run.stats.launched, run.stats.hits) == (1, 0)
        assert run.explained[0].reason == "tripped"


@pytest.mark.parametrize("way", WAYS)
def test_reading_declared_state_does_not_trip(way: str) -> None:
    """
    The control, over two runs.
    """
    run = Run(taking(WHOLE, lambda state: f"{state['user']} {state.get('user')}"), way, runs=2, **USER)
    assert run.same
    assert (run.stats.launched, run.stats.hits) == (2, 2)


EMPTY: dict[str, tuple[Any, dict[str, Any]]] = {
    "declared key is unset": (WHOLE, {"reads_state": ["unset"]}),
    "nothing declared": (ToolRuntime, {"uses": ["context"]}),
}


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("way", WAYS)
def test_a_state_of_which_nothing_is_shown_is_not_an_empty_one(way: str, kind: str) -> None:
    """
    `json.dumps` of the whole where no declared key has a value.
    """
    annotation, entry = EMPTY[kind]

    def dumped(given: Any) -> str:
        state = given.state if annotation is ToolRuntime else given
        return "it says " + json.dumps(state, default=lambda _: "?")

    assert Run(taking(annotation, dumped), way, **entry).same


def test_a_declared_key_may_be_unset() -> None:
    """
    `state.get("key", default)` of a declared key that the state does not have gives the default, and the result counts.
    """
    run = Run(taking(WHOLE, lambda state: state.get("unset", "nothing")), reads_state=["unset"])
    assert run.same
    assert run.stats.hits == 1


MISSING: dict[str, Callable[[Any], Any]] = {
    "store is None": lambda runtime: runtime.store is None,
    "context is None": lambda runtime: runtime.context is None,
    "call id is text": lambda runtime: isinstance(runtime.tool_call_id, str),
    "context or default": lambda runtime: (runtime.context or {}).get("role", "nobody"),
    "call id in text": lambda runtime: f"call {runtime.tool_call_id}",
}


@pytest.mark.parametrize(
    "how",
    MISSING,
)
@pytest.mark.parametrize("way", WAYS)
def test_asking_whether_something_is_there_is_noticed(way: str, how: str) -> None:
    """
    `is None` and `isinstance` of what an early body may not have.
    """
    ask_twice = MISSING[how]
    plainly = {"store is None": None, "context is None": None}
    run = Run(taking(ToolRuntime, lambda runtime: f"{ask_twice(runtime)}"), way, bare=how in plainly, **USER)
    assert run.same
