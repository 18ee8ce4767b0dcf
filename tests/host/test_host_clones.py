"""The tools that a wrapped graph calls are its owner's: their state, later changes to them, and their classes."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest
from agents import (
    EAGERLY,
    WAYS,
    Oracle,
    ScriptedModel,
    agent_graph,
    ask,
    drive,
    hand_written_graph,
    make_tool,
    tool_node_graph,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import ConfigDict, PrivateAttr

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

BUILDS = {"create_agent": agent_graph, "tool_node": tool_node_graph, "hand_written": hand_written_graph}
HOWS = [*BUILDS, "middleware"]


def _wrapped(how: str, script: list[Any], tools: list[BaseTool], policy: Any = None) -> Any:
    model = ScriptedModel(script=script, pace_s=0.005)
    if how == "middleware":
        return agent_graph(model, tools, middleware=[SpeculationMiddleware(policy, predictor=Oracle(script))])
    return speculate(BUILDS[how](model, tools), policy, predictor=Oracle(script))


def _told(graph: Any, way: str = "invoke") -> list[Any]:
    extra = {"stream_mode": "values"} if way in ("stream", "astream") else {}
    state = drive(graph, way, **extra)[-1]
    return [message.content for message in state["messages"] if isinstance(message, ToolMessage)]


class Login(BaseTool):
    name: str = "login"
    description: str = "Log in."
    token: str = ""
    _times: int = PrivateAttr(default=0)

    def _run(self, user: str) -> str:
        self.token = f"token of {user}"
        self._times += 1
        return f"{self._times}"


class Careful(Login):
    """As `Login`, but each assignment makes it a `__dict__` of its own."""

    model_config = ConfigDict(validate_assignment=True)


class Tight(BaseTool):
    """Keeps its state where no other object can share it."""

    __slots__ = ("kept",)

    name: str = "login"
    description: str = "Log in."

    @property
    def token(self) -> str:
        return str(getattr(self, "kept", ""))

    def _run(self, user: str) -> str:
        object.__setattr__(self, "kept", f"token of {user}")
        return "1"


class Whoami(BaseTool):
    name: str = "whoami"
    description: str = "Who is logged in."
    session: Any = None

    def _run(self) -> str:
        return self.session.token or "nobody"


SIGN_IN = [ask(("login", {"user": "ann"})), ask(("whoami", {})), AIMessage("done")]


# -- their state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [Login, Careful, Tight])
@pytest.mark.parametrize("how", HOWS)
def test_a_tool_that_keeps_something_keeps_it_for_everybody_who_holds_the_tool(how: str, kind: Any, way: str) -> None:
    """
    What a body leaves in its tool is seen by other tools and by the tool's owner, as in the plain graph.
    """
    login = kind()
    graph = _wrapped(how, SIGN_IN, [login, Whoami(session=login)])

    assert _told(graph, way) == ["1", "token of ann"]
    assert login.token == "token of ann"


@pytest.mark.parametrize("how", HOWS)
def test_what_a_tool_keeps_privately_is_one_count_in_early_and_real_bodies(how: str) -> None:
    """
    An early body and a real one work on the same private attributes.
    """
    login = Login()
    graph = _wrapped(how, SIGN_IN, [login, Whoami(session=login)], {"tools": {"whoami": True}})

    assert _told(graph) == ["1", "token of ann"]
    assert _told(graph) == ["2", "token of ann"]


def test_a_tool_that_cleans_up_does_so_once_and_not_before_its_owner_lets_go_of_it() -> None:
    """
    A wrapped graph that is gone has closed nothing that its owner still holds.
    """
    closed = []

    class Connected(Login):
        def __del__(self) -> None:
            closed.append(1)

    login = Connected()
    graph = _wrapped("tool_node", SIGN_IN, [login, Whoami(session=login)])
    assert _told(graph) == ["1", "token of ann"]
    del graph
    gc.collect()

    assert not closed


# -- what their owner changes later ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", HOWS)
def test_a_function_that_is_replaced_after_wrapping_is_the_one_that_runs(how: str, way: str) -> None:
    """
    Early and real bodies alike run what the tool holds when they start.
    """
    script = [ask(("find", {"query": "a"})), AIMessage("done")]
    find = StructuredTool.from_function(lambda query: "before", name="find", description="Find.")
    graph = _wrapped(how, script, [find], {"tools": {"find": True}})
    assert _told(graph, way) == ["before"]
    find.func = lambda query: "after"

    assert _told(graph, way) == ["after"]


async def _afterwards(query: str) -> str:
    return "after"


CHANGES = {"func": lambda query: "after", "coroutine": _afterwards}


@pytest.mark.parametrize("changed", CHANGES)
@pytest.mark.parametrize("how", BUILDS)
def test_a_tool_whose_code_is_replaced_is_not_run_ahead_until_it_was_looked_at(how: str, changed: str) -> None:
    """
    What a tool needs of its run was read out of the code that it had; wrapping again reads the new one.
    """
    script = [ask(("find", {"query": "a"})), AIMessage("done")]
    policy = {"tools": {"find": EAGERLY}}
    find = StructuredTool.from_function(lambda query: "before", name="find", description="Find.")
    graph = _wrapped(how, script, [find], policy)
    _told(graph)
    setattr(find, changed, CHANGES[changed])
    _told(graph)

    assert speculation_of(graph).stats().launched == 1
    verdict = speculation_of(graph).explain()[0]
    assert (verdict.allowed, verdict.reason) == (False, "pin_changed")
    assert verdict.detail.endswith("changed since the graph was wrapped; wrap it again")
    assert speculation_of(speculate(graph, policy)).explain()[0].allowed


@pytest.mark.parametrize("how", HOWS)
def test_how_a_tool_handles_errors_may_be_said_after_wrapping(how: str) -> None:
    """
    Settings of a tool are read from the tool.
    """

    def body() -> str:
        raise ToolException("no such note")

    find = make_tool("find", body)
    graph = _wrapped(how, [ask(("find", {})), AIMessage("done")], [find])
    find.handle_tool_error = True

    assert _told(graph) == ["no such note"]


# -- their classes ---------------------------------------------------------------------------------------------------

MADE: list[str] = []


class Registered(BaseTool):
    """A base class that keeps a list of what is derived from it, and lets no name be taken twice."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if cls.__name__ in MADE:
            raise RuntimeError(f"two tools called {cls.__name__}")
        MADE.append(cls.__name__)


class Mine(Registered):
    name: str = "find"
    description: str = "Find."

    def _run(self, query: str) -> str:
        return f"found {query}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", HOWS)
def test_a_class_that_counts_its_subclasses_hears_of_none(how: str, way: str) -> None:
    """
    Wrapping derives no class that a registry would see, or refuse; the tool runs ahead like any other.
    """
    script = [ask(("find", {"query": "a"})), AIMessage("done")]
    graph = _wrapped(how, script, [Mine()], {"tools": {"find": EAGERLY}})

    assert _told(graph, way) == ["found a"]
    assert MADE == ["Mine"]
    if how != "middleware":
        assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_tool_that_a_node_holds_can_be_pickled_and_copied(protocol: int) -> None:
    """
    A tool that was made adopting in place goes into a pickle as its owner's, and a copy of it works.
    """
    login, plain = Login(), Login()
    graph = _wrapped("hand_written", SIGN_IN, [login, Whoami(session=login)])
    assert _told(graph) == ["1", "token of ann"]
    loaded = pickle.loads(pickle.dumps(login, protocol))

    assert type(loaded) is type(plain)
    assert loaded.token == "token of ann"
    assert loaded.invoke({"user": "bob"}) == copy.deepcopy(login).invoke({"user": "bob"}) == "2"
    assert login.token == "token of ann"
