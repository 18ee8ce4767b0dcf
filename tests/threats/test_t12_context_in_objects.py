"""T12: context variables and thread-locals that a tool reads through objects of somebody's own.

The library promises that a tool which reads what it would not see early does not run early, until its owner lists it.
"""

from __future__ import annotations

import threading
from contextvars import Context, ContextVar
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest
from agents import EAGERLY, START_INPUT, WAYS, Oracle, ScriptedModel, agent_graph, ask, drive, hand_written_graph
from attacks import answers, final
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import PrivateAttr
from tenacity import retry, stop_after_attempt

from langgraph_speculate import speculate, speculation_of

USER: ContextVar[str] = ContextVar("user_in_objects", default="anonymous")
SCRIPT = [ask(("whoami", {})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"whoami": EAGERLY}}


class Auth:
    """Who is there, as an application keeps it."""

    _user = USER

    def who(self) -> str:
        return self._user.get()

    @property
    def user(self) -> str:
        return self.who()

    @cached_property
    def name(self) -> str:
        return USER.get()


@dataclass
class Session:
    """An object that holds it."""

    auth: Auth


auth = Auth()
session = Session(Auth())
space = SimpleNamespace(session=session)


def _by(read: Any) -> BaseTool:
    def body() -> str:
        "Who is asking."
        return str(read())

    return StructuredTool.from_function(body, name="whoami")


class _Own(BaseTool):
    name: str = "whoami"
    description: str = "Who is asking."

    def _run(self) -> str:
        return self.helper()

    def helper(self) -> str:
        return USER.get()


class _Holding(BaseTool):
    name: str = "whoami"
    description: str = "Who is asking."
    auth: Any

    def _run(self) -> str:
        return str(self.auth.who())


class _Hiding(BaseTool):
    name: str = "whoami"
    description: str = "Who is asking."
    _variable: Any = PrivateAttr(default_factory=lambda: USER)

    def _run(self) -> str:
        return str(self._variable.get())


class _Derived(StructuredTool):
    def _run(self, *args: Any, **kwargs: Any) -> str:
        return auth.who()


inner = _by(lambda: auth.who()).model_copy(update={"name": "inner"})
TOOLS: dict[str, BaseTool] = {
    "an object": _by(lambda: auth.who()),
    "an object that is made on the spot": _by(lambda: Auth().who()),
    "a property": _by(lambda: auth.user),
    "a cached property": _by(lambda: Auth().name),
    "an object of an object": _by(lambda: session.auth.who()),
    "an object in a namespace": _by(lambda: space.session.auth.who()),
    "a bound method": _by(auth.who),
    "a method of the tool": _Own(),
    "a field of the tool": _Holding(auth=auth),
    "a private attribute of the tool": _Hiding(),
    "a body that a subclass replaces": _Derived.from_function(lambda: "nobody", name="whoami", description="Who."),
    "another tool": _by(lambda: inner.invoke({})),
}


@pytest.mark.parametrize("through", TOOLS)
@pytest.mark.parametrize("way", WAYS)
def test_a_tool_answers_to_its_own_user_through_whatever_it_asks(way: str, through: str) -> None:
    """
    Nobody listed the variable, so the tool is not run where it would be somebody else's; and says which it is.
    """
    context = Context()
    context.run(USER.set, "alice")
    graph = speculate(
        agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), [TOOLS[through]]), POLICY, predictor=Oracle(SCRIPT)
    )
    assert answers(context.run(final, graph, way)) == ["alice"]
    (verdict,) = speculation_of(graph).explain()
    assert (verdict.reason, "user_in_objects" in verdict.detail) == ("context_variables", True)


@pytest.mark.parametrize("through", TOOLS)
def test_a_listed_variable_lets_the_tool_run_ahead_through_whatever_it_asks(through: str) -> None:
    """
    The control: nothing else stood against them.
    """
    context = Context()
    context.run(USER.set, "alice")
    graph = speculate(
        agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), [TOOLS[through]]),
        {**POLICY, "propagate_context": [USER]},
        predictor=Oracle(SCRIPT),
    )
    assert answers(context.run(final, graph, "invoke")) == ["alice"]
    assert speculation_of(graph).stats().hits == 1


def test_what_a_decorator_keeps_for_itself_is_not_the_tools() -> None:
    """
    tenacity notes its attempts in a thread-local: a tool that is tried again is none that reads it.
    """
    tried = retry(stop=stop_after_attempt(2))(lambda: "somebody")
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), [_by(tried)])
    graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT))
    assert answers(final(graph, "invoke")) == ["somebody"]
    assert speculation_of(graph).stats().hits == 1


# -- thread-locals ---------------------------------------------------------------------------------------------------


class Local(threading.local):
    """Somebody's own kind of them."""

    user = "anonymous"


class Holder:
    """An object with one, in a field and on the class."""

    shared = Local()

    def __init__(self) -> None:
        self.own = threading.local()

    def who(self) -> str:
        return str(getattr(self.own, "user", "anonymous"))

    def anybody(self) -> str:
        return self.shared.user


local, mine = threading.local(), Local()
holder = Holder()
LOCALS: dict[str, tuple[str, Any, threading.local]] = {
    "a global": ("local", lambda: getattr(local, "user", "anonymous"), local),
    "one of a subclass": ("mine", lambda: mine.user, mine),
    "a field": ("own", lambda: holder.who(), holder.own),
    "an attribute of a class": ("shared", lambda: Holder().anybody(), Holder.shared),
}


@pytest.mark.parametrize("where", LOCALS)
def test_a_tool_that_reads_thread_locals_reads_its_own_threads(where: str) -> None:
    """
    What each thread has its own of is another's in an attempt: the tool waits, and its verdict names it.
    """
    name, read, own = LOCALS[where]
    own.user = "alice"  # type: ignore[attr-defined]
    graph = hand_written_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), [_by(read)])
    graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT))
    assert answers(drive(graph, "invoke", START_INPUT)[0]["messages"]) == ["alice"]
    (verdict,) = speculation_of(graph).explain()
    assert (verdict.reason, name in verdict.detail) == ("context_variables", True)


def test_a_tool_whose_owner_says_that_any_threads_will_do_runs_ahead() -> None:
    """
    A connection that each thread opens for itself is no reason to wait.
    """
    graph = hand_written_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), [_by(LOCALS["a global"][1])])
    policy = {"tools": {name: {**entry, "uses": ["thread_locals"]} for name, entry in POLICY["tools"].items()}}
    graph = speculate(graph, policy, predictor=Oracle(SCRIPT))
    drive(graph, "invoke", START_INPUT)
    assert speculation_of(graph).stats().hits == 1
