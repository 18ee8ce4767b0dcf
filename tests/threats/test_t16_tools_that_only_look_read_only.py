"""T16: a tool that looks like a read (its name, its description, its hints) has an effect all the same: it logs who
asked, spends a quota, marks as read, hands out a token once, moves a cursor.

The library promises that nothing of a name or a description allows anything: a tool runs ahead only if its owner
declared it read-only. (Deferring an effect to the commit with `on_commit` is not part of it yet.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from agents import (
    EAGERLY,
    START_INPUT,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    agent_graph,
    ask,
    drive,
    hand_written_graph,
    make_tool,
)
from attacks import answers, final, holding
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from pydantic import Field

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of


class Ledger(dict[str, list[Any]]):
    """What each tool changed in the world."""

    def note(self, tool: str, what: Any) -> int:
        self.setdefault(tool, []).append(what)
        return len(self[tool])


def _tools(ledger: Ledger) -> list[BaseTool]:
    """Twelve tools that look like reads. Each changes something, and what most of them answer changes with it."""

    def deceptive(name: str, answer: Callable[[int, int], Any], says: str) -> BaseTool:
        def body(id: int) -> str:
            return str(answer(ledger.note(name, id), id))

        hints = {"readOnlyHint": True, "idempotentHint": True, "title": says, "read_only": "yes", "tags": ["read"]}
        return make_tool(name, body, "both", description=f"{says} Read-only.", metadata=hints)

    return [
        deceptive("get_salary", lambda n, id: f"salary of {id}", "Gets a salary; each look is in the audit log."),
        deceptive("search_web", lambda n, id: f"{100 - n} searches left", "Searches; each costs quota."),
        deceptive("read_mail", lambda n, id: "unread" if n == 1 else "read", "Reads a mail and marks it as read."),
        deceptive("get_token", lambda n, id: f"token {n}", "Gets a token that works once."),
        deceptive("list_next_page", lambda n, id: f"page {n}", "Lists from where the cursor is."),
        deceptive("get_otp", lambda n, id: f"otp {n}", "Shows the one-time password, which ends the last one."),
        deceptive("peek_queue", lambda n, id: f"job {n}", "Shows the next job, and takes it."),
        deceptive("check_lease", lambda n, id: f"held {n} times", "Checks a lease, and renews it."),
        deceptive("get_profile", lambda n, id: f"seen {n} times", "Shows a profile and its 'last seen'."),
        deceptive("view_article", lambda n, id: f"{n} views", "Views an article and counts the view."),
        deceptive("fetch_url", lambda n, id: f"{n} GETs", "GETs a link, which unsubscribes."),
        deceptive("validate_coupon", lambda n, id: "valid" if n == 1 else "used", "Looks a coupon up, and burns it."),
    ]


NAMES = [tool.name for tool in _tools(Ledger())]
SCRIPT = [
    *(ask(*((name, {"id": 1}) for name in NAMES[at : at + 4]), prefix=f"c{at}") for at in (0, 4, 8)),
    AIMessage(""),
]
LIMITS = {"limits": {"max_per_turn": 30, "max_per_run": 100, "max_wasted_per_run": 100, "max_in_flight": 30}}


def _run(way: str, wrap: Callable[[Any, list[BaseTool]], Any] | None, **model: Any) -> tuple[Any, Ledger, Any]:
    ledger = Ledger()
    tools = _tools(ledger)
    made = ScriptedModel(script=SCRIPT, **model)
    graph = wrap(made, tools) if wrap else agent_graph(made, tools)
    return answers(final(graph, way)), ledger, graph


@pytest.mark.parametrize("level", ["declared", "no policy"])
@pytest.mark.parametrize("way", WAYS)
def test_none_of_twelve_deceptive_tools_runs_ahead_by_default(way: str, level: str) -> None:
    """
    Foreseen perfectly, with wrong guesses besides: nothing is started, and the world and the answers are the plain
    graph's.
    """
    policy = None if level == "no policy" else LIMITS

    def wrap(model: Any, tools: list[BaseTool]) -> Any:
        noise = [(name, {"id": 2}) for name in NAMES]
        return speculate(agent_graph(model, tools), policy, predictor=Oracle(SCRIPT, also=noise))

    expected, plain, _ = _run(way, None)
    got, ledger, graph = _run(way, wrap, pace_s=0.005)
    assert got == expected
    assert ledger == plain == {name: [1] for name in NAMES}
    stats = speculation_of(graph).stats()
    assert stats.launched == 0
    assert stats.foreseen == 12
    assert stats.denied["undeclared"] >= 12
    assert {verdict.reason for verdict in speculation_of(graph).explain()} == {"undeclared"}


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_runs_none_of_them_ahead_either(way: str) -> None:
    """
    The same tools inside of `create_agent` with the middleware.
    """
    middleware = SpeculationMiddleware(LIMITS, predictor=Oracle(SCRIPT, also=[(name, {"id": 2}) for name in NAMES]))
    expected, _, _ = _run(way, None)
    got, ledger, _ = _run(way, lambda model, tools: agent_graph(model, tools, middleware=[middleware]), pace_s=0.005)
    assert got == expected
    assert ledger == {name: [1] for name in NAMES}
    assert middleware.speculation.stats().launched == 0
    assert middleware.speculation.stats().predicted >= 12


@pytest.mark.parametrize("name", NAMES)
def test_each_of_them_does_harm_if_its_owner_declares_it_wrongly(name: str) -> None:
    """
    The control, and the residual risk as documented: `read_only` is the owner's word, and a wrong guess has its effect.
    """
    for way in WAYS:
        ledger = Ledger()
        graph = speculate(
            agent_graph(
                ScriptedModel(script=[AIMessage("done")], during=holding(way, lambda ledger=ledger: bool(ledger))),
                _tools(ledger),
            ),
            {"tools": {name: True}},
            predictor=Fixed((name, {"id": 2})),
        )
        drive(graph, way, START_INPUT)
        assert ledger == {name: [2]}


@pytest.mark.parametrize("metadata", [{"read_only": False}, {"speculation": {"writes": ["queue"]}}], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_glob_does_not_overrule_what_a_tool_says_of_itself(metadata: dict[str, Any], way: str) -> None:
    """
    `get_*` was not written for `get_next_job`, which says that it writes: each job is taken once, by the real call.
    """
    ledger = Ledger()

    def get_next_job(id: int) -> str:
        "Get a job."
        return f"job {ledger.note('get_next_job', id)}"

    script = [ask(("get_next_job", {"id": 1})), AIMessage("done")]
    tool = make_tool("get_next_job", get_next_job, "both", metadata=metadata)
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.02), [tool]),
        {"tools": {"get_*": EAGERLY}},
        predictor=Fixed(("get_next_job", {"id": 2}), ("get_next_job", {"id": 1})),
    )
    assert answers(final(graph, way)) == ["job 1"]
    assert ledger["get_next_job"] == [1]
    assert speculation_of(graph).stats().denied["not_read_only"] > 0


class Tab(BaseTool):
    """Sends the one tab that there is to a page, and then reads it."""

    name: str = "read"
    description: str = "Read a page."
    at: dict[str, str] = Field(default_factory=dict)

    def _run(self, url: str) -> str:
        self.at["url"] = url
        time.sleep(0.02)
        return f"text of {self.at['url']}"


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_is_not_reentrant_is_kept_to_itself_by_one_slot(way: str) -> None:
    """
    Its bodies share something in between. With one slot none of them runs early, beside whatever other one.
    """
    script = [ask(("read", {"url": "a"}), ("read", {"url": "b"})), AIMessage("done")]
    guess = Oracle(script, also=[("read", {"url": "c"})])
    graph = speculate(
        hand_written_graph(ScriptedModel(script=script, pace_s=0.02), [Tab()]),
        {"tools": {"read": {"read_only": True, "eagerness": "immediate", "slots": 1}}},
        predictor=guess,
    )
    answer = repr(drive(graph, way))

    assert all(f"text of {url}" in answer for url in "ab")
    stats = speculation_of(graph).stats()
    assert (stats.launched, stats.misses) == (0, 2)
    assert set(stats.denied) == {"slots"}
