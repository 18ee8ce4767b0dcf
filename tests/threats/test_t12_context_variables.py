"""T12: an early read runs under no identity, under another user's, or with more of the context than it should have.

The library promises that an attempt sees the context variables the policy lists, with the values of its own run, and no
others: in tasks and in threads.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    EAGERLY,
    START_INPUT,
    UNBRAKED,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    adrive,
    agent_graph,
    ask,
    make_tool,
    tool_node_graph,
)
from attacks import answers, final, holding, is_early
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool

from langgraph_speculate import speculate, speculation_of

WHO: ContextVar[str] = ContextVar("who")
TOKEN: ContextVar[str] = ContextVar("token", default="no token")
SCRIPT = [ask(("whoami", {"mark": 1}), ("whoami", {"mark": 2})), AIMessage("done")]


class Seen:
    """What bodies saw: (early, the mark in their arguments, who they were)."""

    def __init__(self) -> None:
        self.bodies: list[tuple[bool, str, frozenset[str]]] = []


def _whoami(seen: Seen, flavour: str) -> BaseTool:
    def whoami(mark: int) -> str:
        "Who is asking."
        here = frozenset(variable.name for variable in contextvars.copy_context())
        seen.bodies.append((is_early(), WHO.get("nobody"), here))
        return WHO.get("nobody")

    return make_tool("whoami", whoami, flavour)


def _everybody(graph: Any, way: str, users: int) -> list[list[str]]:
    """One run a user, beside each other: what each was told."""

    async def arun(user: str) -> list[str]:
        WHO.set(user)
        TOKEN.set(f"secret of {user}")
        extra = {"stream_mode": "values"} if way == "astream" else {}
        return answers((await adrive(graph, way, START_INPUT, **extra))[-1]["messages"])

    async def main() -> list[list[str]]:
        return await asyncio.gather(*(arun(f"u{number}") for number in range(users)))

    def run(user: str) -> list[str]:
        WHO.set(user)
        TOKEN.set(f"secret of {user}")
        return answers(final(graph, way))

    if way in ASYNC_WAYS:
        return asyncio.run(main())
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda user: contextvars.Context().run(run, user), (f"u{n}" for n in range(users))))


@pytest.mark.parametrize("flavour", ["sync", "both"], ids=["thread", "task"])
@pytest.mark.parametrize("way", WAYS)
def test_an_early_body_is_who_its_run_is(way: str, flavour: str) -> None:
    """
    200 users of `ainvoke`, 60 of the other ways, beside each other, and a variable that was not listed: everybody is
    told who they are, and no early body had the other variable.
    """
    seen, users = Seen(), 200 if way == "ainvoke" else 60
    # Every user's model waits for an early body of theirs: the control does not depend on who is quicker.
    held = holding(way, lambda: WHO.get() in {who for was_early, who, _ in list(seen.bodies) if was_early})
    graph = speculate(
        agent_graph(ScriptedModel(script=SCRIPT, during=held), [_whoami(seen, flavour)]),
        {"tools": {"whoami": EAGERLY}, "propagate_context": [WHO], "limits": UNBRAKED},
        predictor=Oracle(SCRIPT),
    )
    assert _everybody(graph, way, users) == [[f"u{number}"] * 2 for number in range(users)]
    early = [(who, names) for was_early, who, names in seen.bodies if was_early]
    assert len(early) >= users
    assert {who for who, _ in early} <= {f"u{number}" for number in range(users)}
    assert not [names for _, names in early if "token" in names]
    assert speculation_of(graph).stats().hits >= users


@pytest.mark.parametrize("flavour", ["sync", "both"], ids=["thread", "task"])
@pytest.mark.parametrize("way", WAYS)
def test_an_early_body_never_sees_what_was_not_listed(way: str, flavour: str) -> None:
    """
    A body that finds variables at run time, past what can be read in its code, finds none of the run's in an attempt;
    the same body in the real call, the control, finds them.
    """
    found: dict[bool, list[set[str]]] = {True: [], False: []}

    def peek(page: int) -> str:
        "Look around."
        found[is_early()].append({value for one, value in contextvars.copy_context().items() if one.name == "token"})
        return "looked"

    wrong = ScriptedModel(
        script=[ask(("peek", {"page": 2})), AIMessage("done")], during=holding(way, lambda: bool(found[True]))
    )
    graph = speculate(
        agent_graph(wrong, [make_tool("peek", peek, flavour)]),
        {"tools": {"peek": EAGERLY}},
        predictor=Fixed(("peek", {"page": 1})),
    )
    context = contextvars.Context()
    context.run(TOKEN.set, "secret of ann")
    context.run(final, graph, way)
    assert found[True]
    assert not [values for values in found[True] if "secret of ann" in values]
    assert [values for values in found[False] if "secret of ann" in values]


@pytest.mark.parametrize("way", WAYS)
def test_a_listed_variable_that_is_not_set_is_not_set_early_either(way: str) -> None:
    """
    Nobody's run in between those of users, in threads and loops that just served a user: it stays nobody's.
    """
    seen = Seen()
    graph = speculate(
        agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.002), [_whoami(seen, "both")]),
        {"tools": {"whoami": EAGERLY}, "propagate_context": [WHO], "limits": UNBRAKED},
        predictor=Oracle(SCRIPT),
    )
    for user in ("ann", None, "bob", None):
        context = contextvars.Context()
        if user:
            context.run(WHO.set, user)
        assert answers(context.run(final, graph, way)) == [user or "nobody"] * 2
    assert speculation_of(graph).stats().hits >= 4


@pytest.mark.parametrize("way", WAYS)
def test_who_changes_after_the_early_read_is_answered_anew(way: str) -> None:
    """
    The run's identity is switched between the attempt and the real call: its result is not adopted.
    """
    seen = Seen()
    whoami = _whoami(seen, "both")

    def run_tools(state: Any) -> Any:
        WHO.set("root")
        return {"messages": [whoami.invoke(call) for call in state["messages"][-1].tool_calls]}

    async def arun_tools(state: Any) -> Any:
        WHO.set("root")
        return {"messages": [await whoami.ainvoke(call) for call in state["messages"][-1].tool_calls]}

    graph = speculate(
        tool_node_graph(
            ScriptedModel(script=SCRIPT, during=holding(way, lambda: len(seen.bodies) == 2)),
            [whoami],
            RunnableLambda(run_tools, afunc=arun_tools, name="tools"),
        ),
        {"tools": {"whoami": EAGERLY}, "propagate_context": [WHO]},
        predictor=Oracle(SCRIPT),
    )
    context = contextvars.Context()
    context.run(WHO.set, "ann")
    assert answers(context.run(final, graph, way)) == ["root", "root"]
    assert [(early, who) for early, who, _ in seen.bodies] == [(True, "ann")] * 2 + [(False, "root")] * 2
    assert speculation_of(graph).stats().denied["changed"] == 2
