"""The tools that a wrapped graph calls are its owner's: their state, later changes to them, and their classes."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
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
from langgraph_speculate.host.adopt import adopt_in_place, adopting_clone
from langgraph_speculate.host.adopt_model import adopt_model_in_place, adopting
from langgraph_speculate.host.inputs import obstacle_of
from langgraph_speculate.host.model import ask_in_place, asking

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


# -- classes that go ---------------------------------------------------------------------------------------------------


def _made_tool() -> BaseTool:
    class Local(BaseTool):
        name: str = "local"
        description: str = "Local."

        def _run(self, id: int) -> str:
            return "found"

    return Local()


def _made_model() -> Any:
    class Local(ScriptedModel):
        def _should_stream_usage(self, stream_usage: bool | None = None, **kwargs: Any) -> bool:
            return False

    return Local(script=[])


@pytest.mark.parametrize(
    ("make", "use"),
    [
        (_made_tool, adopting_clone),
        (_made_tool, adopt_in_place),
        (_made_model, adopting),
        (_made_model, adopt_model_in_place),
        (_made_model, asking),
        (_made_model, ask_in_place),
        (_made_model, lambda model: asking(adopting(model))),
        (_made_model, obstacle_of),
    ],
    ids=["tool", "tool in place", "model", "model in place", "asking", "asking in place", "both", "looked at"],
)
def test_a_class_that_is_made_in_a_function_goes_with_its_last_object(make: Any, use: Any):
    """
    A server that makes its tools or models anew for each request does not keep all that there ever were.
    """

    def once() -> weakref.ref[type]:
        thing = make()
        kind = weakref.ref(type(thing))
        use(thing)
        return kind

    classes = [once() for _ in range(3)]
    for _ in range(3):  # the class that it is made of goes after the one that was made of it
        gc.collect()
    assert [kind() for kind in classes] == [None] * 3


def test_the_class_of_ours_is_made_once_for_as_long_as_there_is_an_object_of_it():
    """
    Two views of tools of one class are of one class.
    """
    first, second = adopting_clone(Login()), adopting_clone(Login())
    assert type(first) is type(second)
    assert type(first) is not Login
    assert adopting_clone(first) is first
