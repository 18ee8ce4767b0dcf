"""Every kind of tool answers as in the plain graph; what may not run ahead does not, and says why."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from agents import (
    START_INPUT,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    Seen,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    hand_written_graph,
    make_tool,
    outcome,
    tool_node_graph,
)
from langchain.tools import InjectedState, InjectedStore, ToolRuntime
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForToolRun, dispatch_custom_event
from langchain_core.callbacks.manager import AsyncCallbackManagerForToolRun, adispatch_custom_event
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, Tool, ToolException, tool
from langgraph.config import get_store, get_stream_writer
from langgraph.prebuilt import ToolNode
from langgraph.runtime import get_runtime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command
from pydantic import BaseModel, Field

from langgraph_speculate import speculate, speculation_of

BUILDS = {"create_agent": agent_graph, "tool_node": tool_node_graph, "hand_written": hand_written_graph}


def _both(
    make: Callable[[], list[BaseTool]],
    script: list[Any],
    way: str,
    *,
    build: Callable[..., Any] = agent_graph,
    policy: dict[str, Any] | None = None,
    pace_s: float = 0.005,
    run: Callable[[Any], Any] | None = None,
    **settings: Any,
) -> tuple[Any, Any, Any]:
    """Results of the plain and of the wrapped graph, and the wrapped one's statistics."""
    run = run or (lambda graph: drive(graph, way))
    names = {one.name for one in make()}
    plain = build(ScriptedModel(script=script), make(), **settings)
    wrapped = speculate(
        build(ScriptedModel(script=script, pace_s=pace_s), make(), **settings),
        policy or {"tools": dict.fromkeys(names, True)},
        predictor=Oracle(script),
    )
    expected = outcome(lambda: run(plain))
    got = outcome(lambda: run(wrapped))
    return expected, got, speculation_of(wrapped)


# -- tools that may not run ahead ------------------------------------------------------------------------------------


@dataclass
class Context:
    user: str = "ann"


def _state_tool(id: int, state: Annotated[dict[str, Any], InjectedState]) -> str:
    "Look at the state."
    return f"{len(state['messages'])} messages"


def _field_tool(id: int, messages: Annotated[list[Any], InjectedState("messages")]) -> str:
    "Look at one field of the state."
    return f"{len(messages)} messages"


def _store_tool(id: int, store: Annotated[Any, InjectedStore()]) -> str:
    "Look into the store."
    return str(store.get(("notes",), "a").value)


def _runtime_tool(id: int, runtime: ToolRuntime[Any, Any]) -> str:
    "Look at the runtime."
    return f"{runtime.tool_call_id} {len(runtime.state['messages'])}"


def _id_tool(id: int, tool_call_id: Annotated[str, InjectedToolCallId]) -> str:
    "Look at one's own id."
    return tool_call_id


def _command_tool(id: int, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    "Change the state."
    return Command(update={"messages": [ToolMessage("changed", tool_call_id=tool_call_id)]})


INJECTED = (_state_tool, _field_tool, _store_tool, _runtime_tool, _id_tool, _command_tool)


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("body", INJECTED, ids=lambda body: body.__name__.strip("_"))
@pytest.mark.parametrize("kind", ["create_agent", "tool_node"])
def test_tools_with_injected_arguments_never_run_ahead(kind: str, body: Any, way: str) -> None:
    """
    State, store, runtime and call id exist only with the real call; the answer is the plain graph's.
    """
    name = body.__name__.strip("_")
    store = InMemoryStore()
    store.put(("notes",), "a", {"text": "hello"})
    script = [ask((name, {"id": 1})), AIMessage("done")]
    expected, got, speculation = _both(
        lambda: [StructuredTool.from_function(body, name=name)], script, way, build=BUILDS[kind], store=store
    )
    assert got == expected
    assert "Error" not in str(expected)
    stats = speculation.stats()
    assert (stats.launched, dict(stats.denied)) == (0, {"injected_arguments": 1})


@pytest.mark.parametrize("way", WAYS)
def test_return_direct_tools_never_run_ahead(way: str) -> None:
    """
    Their result ends the run.
    """

    def last(id: int) -> str:
        return "the end"

    script = [ask(("last", {"id": 1})), AIMessage("done")]
    expected, got, speculation = _both(lambda: [make_tool("last", last, "both", return_direct=True)], script, way)
    assert got == expected
    assert speculation.stats().launched == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_command_without_injection_is_the_plain_graphs(way: str) -> None:
    """
    A body may return a Command; whatever LangGraph makes of it, it is the same.
    """

    def jump(id: int) -> Any:
        return Command(update={"messages": [ToolMessage("jumped", tool_call_id="c-jump-0")]})

    script = [ask(("jump", {"id": 1})), AIMessage("done")]
    expected, got, _ = _both(lambda: [make_tool("jump", jump, "both")], script, way, build=tool_node_graph)
    assert got == expected


# -- tools that run ahead --------------------------------------------------------------------------------------------


class SyncOnly(BaseTool):
    name: str = "look"
    description: str = "Look."

    def _run(self, id: int, run_manager: CallbackManagerForToolRun | None = None) -> str:
        return f"sync {id}"


class AsyncOnly(BaseTool):
    name: str = "look"
    description: str = "Look."

    def _run(self, id: int) -> str:
        raise NotImplementedError("async only")

    async def _arun(self, id: int, run_manager: AsyncCallbackManagerForToolRun | None = None) -> str:
        return f"async {id}"


class Both(BaseTool):
    name: str = "look"
    description: str = "Look."

    def _run(self, id: int, config: RunnableConfig) -> str:
        return f"sync {id} {config['configurable'].get('user')}"

    async def _arun(self, id: int, config: RunnableConfig) -> str:
        return f"async {id} {config['configurable'].get('user')}"


class WithFields(BaseTool):
    name: str = "look"
    description: str = "Look."
    shelf: dict[int, str] = Field(default_factory=lambda: {1: "one"})

    def _run(self, id: int) -> str:
        return self.shelf[id]

    @classmethod
    def made(cls) -> WithFields:
        return cls(shelf={1: "uno"})


class OwnRun(BaseTool):
    name: str = "look"
    description: str = "Look."

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return super().run(*args, **kwargs)

    def _run(self, id: int) -> str:
        return f"own {id}"


class Sub(SyncOnly):
    def _run(self, id: int, run_manager: CallbackManagerForToolRun | None = None) -> str:
        return "sub " + super()._run(id, run_manager)


SUBCLASSES: dict[str, Callable[[], BaseTool]] = {
    "sync_only": SyncOnly,
    "async_only": AsyncOnly,
    "both": Both,
    "with_fields": WithFields.made,
    "sub": Sub,
    "own_run": OwnRun,
}


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("made", SUBCLASSES)
def test_subclasses_of_base_tool_answer_as_in_the_plain_graph(made: str, kind: str, way: str) -> None:
    """
    Whatever bodies a class has: same answers, adopted where a body fits the run; own `run` is left alone.
    """
    script = [ask(("look", {"id": 1})), AIMessage("done")]
    expected, got, speculation = _both(
        lambda: [SUBCLASSES[made]()],
        script,
        way,
        build=BUILDS[kind],
        run=lambda graph: drive(graph, way, START_INPUT, {"configurable": {"user": "ann"}}),
    )
    assert got == expected
    works = made != "own_run" and not (made == "async_only" and way in ("invoke", "stream"))
    assert speculation.stats().hits == works


@pytest.mark.parametrize("way", WAYS)
def test_single_input_tools_are_adopted(way: str) -> None:
    """
    `Tool` takes one text, positionally.
    """

    async def shout_later(text: str) -> str:
        return text.upper()

    script = [ask(("shout", {"__arg1": "hey"})), AIMessage("done")]
    expected, got, speculation = _both(
        lambda: [Tool(name="shout", description="Shout.", func=str.upper, coroutine=shout_later)], script, way
    )
    assert got == expected
    assert speculation.stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", BUILDS)
def test_artifacts_come_with_the_adopted_message(kind: str, way: str) -> None:
    """
    `content_and_artifact`: both halves are there.
    """

    def pair(id: int) -> Any:
        return f"text {id}", {"rows": [id]}

    script = [ask(("pair", {"id": 1})), AIMessage("done")]
    expected, got, speculation = _both(
        lambda: [make_tool("pair", pair, "both", response_format="content_and_artifact")],
        script,
        way,
        build=BUILDS[kind],
    )
    assert got == expected
    assert "rows" in str(got)
    assert speculation.stats().hits == 1


class Range(BaseModel):
    low: int = 0
    high: int
    step: Annotated[int, Field(gt=0)] = 1


class Nested(BaseModel):
    span: Range
    tags: list[str] = Field(default_factory=list)
    mode: str | None = None


@pytest.mark.parametrize("way", WAYS)
def test_coerced_and_nested_arguments_are_compared_as_the_body_gets_them(way: str) -> None:
    """
    Defaults, numbers as text and nested models: the body sees what it always does, and a guess in another spelling
    of the same arguments is a hit. Fields left out of a nested model stay left out, for tools that look.
    """
    seen: list[Any] = []

    def pick(span: Range, tags: list[str], mode: str | None = None) -> str:
        seen.append((type(span).__name__, span, tags, mode))
        return f"{span} {tags} {mode}"

    made = lambda: [make_tool("pick", pick, "both", args_schema=Nested)]  # noqa: E731
    script = [ask(("pick", {"span": {"high": "3"}, "tags": ["a"]})), AIMessage("done")]
    expected = drive(agent_graph(ScriptedModel(script=script), made()), way)
    guess = ("pick", {"tags": ["a"], "span": {"high": 3}, "mode": None})
    wrapped = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.005), made()),
        {"tools": {"pick": True}},
        predictor=Fixed(guess),
    )
    assert canonical(drive(wrapped, way)) == canonical(expected)
    assert speculation_of(wrapped).stats().hits == 1
    assert seen[0] == seen[1]


def test_a_body_that_changes_its_arguments_does_not_change_the_model_s_call() -> None:
    """
    What an early body does to its arguments stays with it: the message and the real call are untouched.
    """

    def sort(items: list[int]) -> str:
        items.sort()
        items.append(99)
        return str(items)

    script = [ask(("sort", {"items": [3, 1, 2]})), ask(("sort", {"items": [3, 1, 2]}), prefix="d"), AIMessage("done")]
    for way in WAYS:
        expected, got, speculation = _both(lambda: [make_tool("sort", sort, "both")], script, way)
        assert got == expected
        assert speculation.stats().hits == 2


# -- errors ----------------------------------------------------------------------------------------------------------

HANDLERS: dict[str, Any] = {
    "raised": {},
    "tool_true": {"handle_tool_error": True},
    "tool_text": {"handle_tool_error": "sorry"},
    "tool_callable": {"handle_tool_error": lambda error: f"caught {error}"},
    "validation_true": {"handle_validation_error": True},
    "validation_text": {"handle_validation_error": "bad arguments"},
}


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("what", ["tool_exception", "value_error", "bad_arguments", "missing_tool"])
def test_errors_are_handled_as_in_the_plain_graph(what: str, handler: str, way: str) -> None:
    """
    Whatever handles an error in the tool: same message, or same exception at the same step.
    """

    def fail(id: int) -> str:
        if what == "tool_exception":
            raise ToolException("not today")
        if what == "value_error":
            raise ValueError("wrong")
        return "fine"

    args = {"id": "no number"} if what == "bad_arguments" else {"id": 1}
    script = [ask(("nothing" if what == "missing_tool" else "fail", args)), AIMessage("done")]
    expected, got, speculation = _both(
        lambda: [make_tool("fail", fail, "both", **HANDLERS[handler])], script, way, pace_s=0.01
    )
    assert got == expected
    assert speculation.stats().hits == 0


NODE_HANDLERS: dict[str, Any] = {
    "default": None,
    "true": True,
    "false": False,
    "text": "oops",
    "type": ValueError,
    "types": (ValueError, KeyError),
    "callable": lambda error: f"caught {error}",
}


def _typed_handler(error: ValueError) -> str:
    return f"typed {error}"


NODE_HANDLERS["typed_callable"] = _typed_handler


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("error", [ValueError, TypeError, ToolException])
@pytest.mark.parametrize("handler", NODE_HANDLERS)
def test_a_tool_node_s_error_handling_stays_its_own(handler: str, error: type[Exception], way: str) -> None:
    """
    Every form of `handle_tool_errors`: same message or same exception.
    """

    def fail(id: int) -> str:
        raise error("wrong")

    def build(model: Any, tools: Any, **settings: Any) -> Any:
        given = {} if handler == "default" else {"handle_tool_errors": NODE_HANDLERS[handler]}
        return tool_node_graph(model, tools, ToolNode(tools, **given), **settings)

    script = [ask(("fail", {"id": 1})), AIMessage("done")]
    expected, got, speculation = _both(lambda: [make_tool("fail", fail, "both")], script, way, build=build, pace_s=0.01)
    assert got == expected
    assert speculation.stats().hits == 0


# -- what tools emit -------------------------------------------------------------------------------------------------


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(page_content=f"doc {query}")]


def _writes_stream(id: int) -> str:
    "Write to the stream."
    get_stream_writer()({"progress": id})
    get_stream_writer()({"progress": id + 1})
    return "written"


def _dispatches(id: int, config: RunnableConfig) -> str:
    "Dispatch an event."
    dispatch_custom_event("half", {"id": id}, config=config)
    return "dispatched"


async def _adispatches(id: int, config: RunnableConfig) -> str:
    "Dispatch an event."
    await adispatch_custom_event("half", {"id": id}, config=config)
    return "dispatched"


def _retrieves(id: int) -> str:
    "Ask a retriever."
    return Shelf().invoke(f"q{id}")[0].page_content


def _chains(id: int) -> str:
    "Run a chain."
    return str((RunnableLambda(lambda x: x + 1) | RunnableLambda(lambda x: x * 2)).invoke(id))


def _calls_a_tool(id: int) -> str:
    "Call another tool."
    return str(make_tool("inner", lambda id: f"inner {id}", args_schema=_Id).invoke({"id": id}))


class _Id(BaseModel):
    id: int


EMITTING: dict[str, tuple[Any, Any]] = {
    "writes_stream": (_writes_stream, None),
    "dispatches": (_dispatches, _adispatches),
    "retrieves": (_retrieves, None),
    "chains": (_chains, None),
    "calls_a_tool": (_calls_a_tool, None),
}


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("body", EMITTING)
def test_what_an_adopted_body_emitted_is_shown_once_in_order(body: str, kind: str, way: str) -> None:
    """
    The user's own handler and the custom stream see what the plain graph shows: inside of the real tool run, once.
    """
    func, coroutine = EMITTING[body]
    script = [ask((body, {"id": 1})), ask((body, {"id": 5}), prefix="d"), AIMessage("done")]

    def run(graph: Any) -> Any:
        seen = Seen()
        streamed = {"stream_mode": ["custom", "updates"]} if way in ("stream", "astream") else {}
        return [drive(graph, way, START_INPUT, {"callbacks": [seen]}, **streamed), seen.events]

    expected, got, speculation = _both(
        lambda: [StructuredTool.from_function(func, coroutine, name=body)], script, way, build=BUILDS[kind], run=run
    )
    assert got == expected
    assert speculation.stats().hits == 2


class Tree(BaseCallbackHandler):
    """Which runs happen below which."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.edges: list[tuple[str, str]] = []

    def _begin(self, name: str, run_id: Any, parent_run_id: Any) -> None:
        self.names[run_id] = name
        self.edges.append((self.names.get(parent_run_id, "?"), name))

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: Any, parent_run_id: Any = None, **kw: Any
    ) -> None:
        self._begin(kw.get("name") or "chain", run_id, parent_run_id)

    def on_tool_start(self, serialized: Any, text: str, *, run_id: Any, parent_run_id: Any = None, **kw: Any) -> None:
        self._begin(f"tool {serialized['name']}", run_id, parent_run_id)

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: Any, parent_run_id: Any = None, **kw: Any
    ) -> None:
        self._begin("retriever", run_id, parent_run_id)

    def on_custom_event(self, name: str, data: Any, *, run_id: Any, **kw: Any) -> None:
        self.edges.append((self.names.get(run_id, "?"), f"event {name} {sorted(kw.get('tags') or [])}"))


def _retrieves_with_config(id: int, config: RunnableConfig) -> str:
    "Ask a retriever, handing on the config."
    return Shelf().invoke(f"q{id}", config)[0].page_content


def _chains_with_config(id: int, config: RunnableConfig) -> str:
    "Run a chain, handing on the config."
    return str(RunnableLambda(lambda x: x + 1).with_config(tags=["chain"]).invoke(id, config))


EMITTING_WITH_CONFIG = {
    **EMITTING,
    "retrieves_with_config": (_retrieves_with_config, None),
    "chains_with_config": (_chains_with_config, None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "body",
    EMITTING_WITH_CONFIG,
)
def test_what_an_adopted_body_ran_stands_below_the_real_tool_run(body: str, way: str) -> None:
    """
    Parents and children in a trace are the plain graph's.
    """
    func, coroutine = EMITTING_WITH_CONFIG[body]
    script = [ask((body, {"id": 1})), AIMessage("done")]

    def run(graph: Any) -> Any:
        tree = Tree()
        drive(graph, way, START_INPUT, {"callbacks": [tree], "tags": ["mine"]})
        return tree.edges

    expected, got, speculation = _both(
        lambda: [StructuredTool.from_function(func, coroutine, name=body)], script, way, run=run
    )
    assert got == expected
    assert speculation.stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_discarded_body_shows_nothing(way: str) -> None:
    """
    Streams and handlers see nothing of calls the model never made.
    """
    seen = Seen()
    graph = speculate(
        agent_graph(
            ScriptedModel(script=[AIMessage("done")], pace_s=0.01),
            [StructuredTool.from_function(func, name=name) for name, (func, _) in EMITTING.items()],
        ),
        {"tools": {"*": True}, "limits": {"max_per_turn": 9, "max_in_flight": 9}},
        predictor=Fixed(*((name, {"id": 1}) for name in EMITTING)),
    )
    streamed = {"stream_mode": ["custom", "tools", "updates"]} if way in ("stream", "astream") else {}
    chunks = drive(graph, way, START_INPUT, {"callbacks": [seen]}, **streamed)
    assert len(chunks) == 1
    assert [name for name, _ in seen.events] == ["model_start", "model_end"]
    assert speculation_of(graph).stats().wasted == len(EMITTING)


@pytest.mark.parametrize("way", WAYS)
def test_callbacks_attached_to_a_tool_fire_for_real_calls_only(way: str) -> None:
    """
    A tool's own callbacks, tags and metadata belong to real calls: once a call, never for a discarded attempt.
    """
    handlers: list[Seen] = []

    def made() -> list[BaseTool]:
        handlers.append(Seen())
        return [make_tool("look", lambda id: f"{id}", "both", args_schema=_Id, callbacks=[handlers[-1]], tags=["t"])]

    script = [ask(("look", {"id": 1})), AIMessage("done")]
    plain = agent_graph(ScriptedModel(script=script), made())
    wrapped = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.005), made()),
        {"tools": {"look": True}},
        predictor=Oracle(script, also=[("look", {"id": 7})]),
    )
    assert canonical(drive(wrapped, way)) == canonical(drive(plain, way))
    assert handlers[1].events == handlers[0].events
    assert len(handlers[1].events) == 2
    assert speculation_of(wrapped).stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", BUILDS)
def test_a_model_inside_of_a_tool_runs_only_for_real(kind: str, way: str, world: World) -> None:
    """
    A nested model call trips a wire: the tool runs for real, and is not tried again.
    """
    seens: list[Seen] = []
    inner = ScriptedModel(script=[AIMessage("a thought")], during=lambda turn: world.begin("inner"))

    def think(id: int) -> str:
        return str(inner.invoke("think").content)

    script = [ask(("think", {"id": 1})), ask(("think", {"id": 2}), prefix="d"), AIMessage("done")]

    def run(graph: Any) -> Any:
        seens.append(Seen())
        return [drive(graph, way, START_INPUT, {"callbacks": [seens[-1]]}), seens[-1].events]

    expected, got, speculation = _both(
        lambda: [make_tool("think", think, "sync")], script, way, build=BUILDS[kind], run=run, pace_s=0.01
    )
    assert got == expected
    assert world.count("inner") == 4
    stats = speculation.stats()
    assert (stats.hits, stats.launched, dict(stats.discarded)) == (0, 1, {"tainted": 1})


# -- what tools read of the run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["create_agent", "tool_node"])
@pytest.mark.parametrize("uses", [True, False])
def test_the_runtime_context_is_seen_only_where_the_policy_says_so(uses: bool, kind: str, way: str) -> None:
    """
    With `uses = ["context"]` the early body sees the run's own context; without, it trips and the real call runs.
    """

    def who(id: int) -> str:
        return str(get_runtime(Context).context.user)

    script = [ask(("who", {"id": 1})), AIMessage("done")]
    policy = {"tools": {"who": {"read_only": True, **({"uses": ["context"]} if uses else {})}}}
    expected, got, speculation = _both(
        lambda: [make_tool("who", who, "both")],
        script,
        way,
        build=BUILDS[kind],
        policy=policy,
        context_schema=Context,
        run=lambda graph: drive(graph, way, START_INPUT, context=Context("bob")),
    )
    assert got == expected
    assert "bob" in str(got)
    stats = speculation.stats()
    assert (stats.hits, dict(stats.discarded)) == ((1, {}) if uses else (0, {"tainted": 1}))


@pytest.mark.parametrize("way", WAYS)
def test_the_store_is_out_of_reach_for_early_bodies(way: str) -> None:
    """
    `get_store()` in an early body trips; the real call reads the store.
    """

    def look(id: int) -> str:
        return str(get_store().get(("notes",), "a").value["text"])

    store = InMemoryStore()
    store.put(("notes",), "a", {"text": "hello"})
    script = [ask(("look", {"id": 1})), AIMessage("done")]
    expected, got, speculation = _both(lambda: [make_tool("look", look, "both")], script, way, store=store)
    assert got == expected
    assert "hello" in str(got)
    assert speculation.stats().discarded == {"tainted": 1}


def _reads(config: RunnableConfig, key: str) -> str:
    return str(config.get("configurable", {}).get(key, "nothing"))


def _config_user(id: int, config: RunnableConfig) -> str:
    "The user."
    return _reads(config, "user")


def _config_thread(id: int, config: RunnableConfig) -> str:
    "The thread."
    return _reads(config, "thread_id")


def _config_tags(id: int, config: RunnableConfig) -> str:
    "The tags."
    return str(config.get("tags"))


def _config_metadata(id: int, config: RunnableConfig) -> str:
    "What the caller put into the metadata."
    return str(config.get("metadata", {}).get("customer"))


def _config_limit(id: int, config: RunnableConfig) -> str:
    "The recursion limit."
    return str(config.get("recursion_limit"))


def _config_concurrency(id: int, config: RunnableConfig) -> str:
    "How many at a time."
    return str(config.get("max_concurrency"))


def _config_node(id: int, config: RunnableConfig) -> str:
    "Which node this is."
    return str(config.get("metadata", {}).get("langgraph_node"))


def _config_keys(id: int, config: RunnableConfig) -> str:
    "All keys that are the caller's."
    return str(sorted(key for key in config.get("configurable", {}) if not key.startswith("__")))


def _config_dump(id: int, config: RunnableConfig) -> str:
    "The metadata as they are."
    return str({key: str(value) for key, value in sorted(config.get("metadata", {}).items()) if "lang" not in key})


CONFIG_READERS = (
    _config_user,
    _config_thread,
    _config_tags,
    _config_metadata,
    _config_limit,
    _config_concurrency,
    _config_node,
    _config_keys,
    _config_dump,
)


def _config_cells() -> Iterator[Any]:
    for body in CONFIG_READERS:
        for kind in BUILDS:
            yield pytest.param(body, kind, id=f"{body.__name__.strip('_')}-{kind}")


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize(("body", "kind"), list(_config_cells()))
def test_what_a_tool_reads_of_its_config_is_what_the_plain_graph_shows_it(body: Any, kind: str, way: str) -> None:
    """
    Whatever part of the config decides about a tool's answer: adopted or not, the answer is the plain graph's.
    """
    name = body.__name__.strip("_")
    script = [ask((name, {"id": 1})), AIMessage("done")]
    config = {
        "configurable": {"user": "ann", "thread_id": "t1"},
        "tags": ["mine"],
        "metadata": {"customer": "acme"},
        "max_concurrency": 2,
        "recursion_limit": 17,
    }
    expected, got, _ = _both(
        lambda: [StructuredTool.from_function(body, name=name)],
        script,
        way,
        build=BUILDS[kind],
        run=lambda graph: drive(graph, way, START_INPUT, config),
    )
    assert got == expected


def test_generators_and_odd_results_are_the_plain_graphs() -> None:
    """
    Bodies that return None, a number, bytes, blocks, a list of messages or an iterator.
    """

    def numbers() -> Iterator[int]:
        yield 1

    results: list[Callable[[], Any]] = [
        lambda: None,
        lambda: 7,
        lambda: b"bytes",
        lambda: [{"type": "text", "text": "block"}],
        lambda: {"a": [1, {"b": 2}]},
        lambda: ToolMessage("by hand", tool_call_id="c-odd-0"),
        lambda: numbers(),
        lambda: object,
    ]
    script = [ask(("odd", {"id": 1})), AIMessage("done")]
    for result in results:
        for way in ("invoke", "ainvoke"):
            expected, got, _ = _both(
                lambda result=result: [make_tool("odd", lambda id: result(), "both", args_schema=_Id)], script, way
            )
            assert got == expected, inspect.getsource(result)


def test_the_gate_s_reasons_are_told_before_a_run() -> None:
    """
    `explain()` names, for every kind of tool here, whether it may run ahead and why not.
    """

    @tool(return_direct=True)
    def final(id: int) -> str:
        "End."
        return "end"

    @tool
    def writes(id: int) -> str:
        "Write."
        return "w"

    @tool(extras=None)
    def web(id: int) -> str:
        "Fetch."
        return "w"

    tools = [
        StructuredTool.from_function(_runtime_tool, name="runtime"),
        make_tool("ok", lambda id: "x", "both", args_schema=_Id),
        OwnRun(),
        final,
        writes,
        web,
    ]
    graph = speculate(
        agent_graph(ScriptedModel(script=[AIMessage("x")]), tools),
        {
            "tools": {
                "runtime": True,
                "ok": True,
                "look": True,
                "final": True,
                "web": {"read_only": True, "open_world": True},
            }
        },
    )
    assert {verdict.tool: verdict.reason for verdict in speculation_of(graph).explain()} == {
        "runtime": "injected_arguments",
        "ok": "allowed",
        "look": "unknown_tool",
        "final": "return_direct",
        "writes": "undeclared",
        "web": "open_world",
    }


def test_tools_share_nothing_with_the_loop_of_another_run(world: World) -> None:
    """
    An async tool always runs on the loop of its own run, early or not.
    """
    loops: list[Any] = []

    async def where(id: int) -> str:
        "Which loop."
        loops.append(asyncio.get_running_loop())
        return "here"

    script = [ask(("where", {"id": 1})), AIMessage("done")]
    graph = speculate(
        agent_graph(
            ScriptedModel(script=script, pace_s=0.01), [StructuredTool.from_function(coroutine=where, name="where")]
        ),
        {"tools": {"where": True}},
        predictor=Oracle(script),
    )

    async def main() -> None:
        await graph.ainvoke(START_INPUT)
        assert loops == [asyncio.get_running_loop()]
        loops.clear()

    for _ in range(2):
        asyncio.run(main())
    assert speculation_of(graph).stats().hits == 2
