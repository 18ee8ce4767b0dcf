"""The tools of the zoo: what each does to the world, and what an honest owner says about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Annotated, Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException
from langgraph.config import get_stream_writer
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.types import Command, interrupt
from pydantic import BaseModel, Field, create_model

from tests.sim.loop import sleep
from tests.sim.world import WORLDS, Job, pick

HUGE = 5_000
"""Characters of a huge result; programs with such a tool allow fewer."""
TTL_S = 0.15
"""For how long a result of `ticks_on` may be used."""
TENANT: ContextVar[str] = ContextVar("zoo_tenant", default="nobody")
"""Who a run is for, where a program says so in a context variable."""

Op = Callable[[Job, RunnableConfig], Any]


def _key(job: Job, kind: str) -> str:
    return f"{job.user}/{kind}:{job.args['id']}"


def _get(kind: str) -> Op:
    return lambda job, _config: job.world.read(_key(job, kind))


def _set(kind: str) -> Op:
    def op(job: Job, _config: RunnableConfig) -> str:
        job.note()
        key = _key(job, kind)
        job.world.write(key, f"{key}={job.args.get('text', 'touched')}")
        return f"{key} written"

    return op


def _list_items(job: Job, _config: RunnableConfig) -> str:
    return "; ".join(job.world.read(f"{job.user}/item:{id}") for id in range(4))


def _clear_items(job: Job, _config: RunnableConfig) -> str:
    job.note()
    for id in range(4):
        key = f"{job.user}/item:{id}"
        job.world.write(key, f"{key}=cleared")
    return f"{job.user} cleared"


def _find(job: Job, _config: RunnableConfig) -> str:
    ids = sorted({pick((0, 1, 2, 3), job.user, job.text, n) for n in range(2)})
    return json.dumps({"hits": [{"id": id} for id in ids], "next": ids[0], "user": job.user})


def _draw(job: Job, _config: RunnableConfig) -> str:
    job.world.draws += 1
    return f"{job.user} drew #{job.world.draws}"


def _risky(job: Job, _config: RunnableConfig) -> str:
    how = job.args["how"]
    if how == "value":
        raise ValueError(f"{job.user} broke {job.args['id']}")
    if how == "tool":
        raise ToolException(f"{job.user} may not {job.args['id']}")
    return job.world.read(_key(job, "item"))


def _big(job: Job, _config: RunnableConfig) -> str:
    return f"{_key(job, 'item')} " + "x" * HUGE


def _flaky(job: Job, _config: RunnableConfig) -> str:
    if job.fault == "raise":
        raise ValueError("only when early")
    if job.fault == "base":
        raise SystemExit("only when early")
    if job.fault == "huge":
        return "y" * HUGE
    return job.world.read(_key(job, "item"))


def _effect(job: Job, _config: RunnableConfig) -> str:
    """What an undeclared tool does that only looks like reading: every body counts."""
    job.note()
    key = f"{job.user}/cursor:{job.tool}"
    job.world.write(key, f"{key}={job.world.read(key).count('+')}+")
    return job.world.read(key)


def _tells(job: Job, config: RunnableConfig) -> str:
    get_stream_writer()({"tells": job.args["id"], "user": job.user})
    return f"{job.user} told {job.args['id']} {sorted(config.get('tags') or ())}"


def _whoami(job: Job, config: RunnableConfig) -> str:
    configurable = config.get("configurable") or {}
    return f"{job.user} in {configurable.get('region')} {sorted(config.get('tags') or ())}"


def _tenant(job: Job, _config: RunnableConfig) -> str:
    return f"{job.user} is {TENANT.get()}"


def _ticks(job: Job, _config: RunnableConfig) -> str:
    """Something that others change all the time."""
    return f"{job.user} at ~{job.world.clock():.6f}"


def _echo(job: Job, _config: RunnableConfig) -> str:
    return f"{job.user} said {job.args['value']!r}"


def _import_data(job: Job, _config: RunnableConfig) -> str:
    job.note()
    for kind in ("item", "note"):
        key = _key(job, kind)
        job.world.write(key, f"{key}=imported {job.args['text']}")
    return f"{job.user} imported"


def _secret(job: Job, _config: RunnableConfig) -> str:
    if job.world.was_revoked(job.user):
        return f"{job.user} is forbidden"
    return job.world.read(_key(job, "item"))


def _asks(job: Job, _config: RunnableConfig) -> str:
    return f"{job.user} was told {interrupt({'question': job.args['id']})}"


def _asks_quietly(job: Job, _config: RunnableConfig) -> str:
    """Swallows what `interrupt()` raises; in a graph that makes the question go away."""
    try:
        return f"{job.user} was told {interrupt({'quietly': job.args['id']})}"
    except BaseException as error:  # noqa: BLE001 - that is the point
        return f"{job.user} went on after {type(error).__name__}"


_ID = {"id": (int, ...)}
_TEXT = {"id": (int, ...), "text": (str, "none")}

# name: operation, schema, what its owner says (None: nothing)
_TABLE: Mapping[str, tuple[Op, dict[str, Any], Any]] = {
    "get_item": (_get("item"), _ID, {"read_only": True, "reads": ["item:{id}"]}),
    "get_note": (_get("note"), _ID, {"read_only": True, "reads": ["note:{id}"], "scope": "run"}),
    "get_any": (_get("item"), _ID, True),
    "dig": (_get("item"), _ID, {"read_only": True, "reads": ["item:{id}"]}),
    "list_items": (_list_items, {}, {"read_only": True, "reads": ["item:*"]}),
    "find": (_find, {"query": (str, ...)}, {"read_only": True, "reads": ["catalog"], "scope": "run", "ttl_s": 0.3}),
    "set_item": (_set("item"), _TEXT, {"writes": ["item:{id}"]}),
    "set_note": (_set("note"), _TEXT, {"writes": ["note:{id}"]}),
    "clear_items": (_clear_items, {}, {"writes": ["item:*"]}),
    "draw": (_draw, {"query": (str, ...)}, {"read_only": True, "deterministic": False}),
    "risky": (_risky, {"id": (int, ...), "how": (str, "ok")}, {"read_only": True, "reads": ["item:{id}"]}),
    "big": (_big, _ID, True),
    "flaky": (_flaky, _ID, {"read_only": True, "reads": ["item:{id}"]}),
    "tells": (_tells, _ID, True),
    "whoami": (_whoami, _ID, True),
    "tenant": (_tenant, {}, True),
    "asks": (_asks, _ID, True),
    "asks_quietly": (_asks_quietly, _ID, True),
    "import_data": (_import_data, _TEXT, None),
    "ticks": (_ticks, _ID, {"read_only": True, "reads": ["time"]}),
    "ticks_on": (_ticks, _ID, {"read_only": True, "reads": ["time"], "scope": "run", "ttl_s": TTL_S}),
    "secret": (_secret, _ID, {"read_only": True, "reads": ["item:{id}"]}),
    "echo": (_echo, {"value": (Any, ...)}, True),
    "next_page": (_effect, {}, None),
    "pop_code": (_effect, {}, None),
    "lease": (_effect, _ID, None),
    "stall": (_get("item"), _ID, {"read_only": True, "reads": ["item:{id}"]}),
    "open_page": (_find, {"query": (str, ...)}, {"read_only": True, "open_world": True}),
}
READS = ("get_item", "get_note", "get_any", "list_items", "find")
WRITES = ("set_item", "set_note", "clear_items")
DECEPTIVE = ("next_page", "pop_code", "lease")


def policy_of(names: tuple[str, ...]) -> dict[str, Any]:
    """What an honest owner says about these tools."""
    said = {name: _TABLE[name][2] if name in _TABLE else _SPECIAL[name][1] for name in names}
    return {name: _eagerly(name, entry) for name, entry in said.items() if entry is not None}


_WEIGHED = ("find", "list_items")  # where expected value decides; with all of them, too little would run early


def _eagerly(name: str, entry: Any) -> Any:
    settings = {"read_only": entry} if isinstance(entry, bool) else entry
    return settings if name in _WEIGHED or not settings.get("read_only") else {**settings, "eagerness": "immediate"}


@cache
def tool_of(name: str, flavour: str) -> BaseTool:
    """A tool of the zoo with a sync body, an async one, or both."""
    if name in _SPECIAL:
        return _SPECIAL[name][0]()
    op, fields, _ = _TABLE[name]

    def sync(config: RunnableConfig, **kwargs: Any) -> Any:
        job = WORLDS().begin(name, kwargs, config)
        sleep(job.before)
        if name == "tells":
            dispatch_custom_event("told", {"id": kwargs["id"]}, config=config)
        value = op(job, config)
        sleep(job.after)
        return value

    async def native(config: RunnableConfig, **kwargs: Any) -> Any:
        job = WORLDS().begin(name, kwargs, config)
        if job.before:  # a body that takes no time does not let others go first either
            await asyncio.sleep(job.before)
        if name == "tells":
            await adispatch_custom_event("told", {"id": kwargs["id"]}, config=config)
        value = op(job, config)
        if job.after:
            await asyncio.sleep(job.after)
        return value

    return StructuredTool(
        name=name,
        description=f"{name} of the zoo",
        args_schema=create_model(name, **fields),
        func=sync if flavour in ("sync", "both") else None,
        coroutine=native if flavour in ("async", "both") else None,
        handle_tool_error=name == "risky",
        return_direct=name == "direct",
    )


# -- tools the host hands something to -------------------------------------------------------------------------------


def _worked(name: str, config: RunnableConfig, **args: Any) -> tuple[Job, Callable[[], Any]]:
    job = WORLDS().begin(name, args, config)

    async def pass_time() -> None:
        await asyncio.sleep(job.before + job.after)

    return job, pass_time


async def _of_state(id: int, state: Annotated[dict[str, Any], InjectedState], config: RunnableConfig) -> str:
    "Counts the messages so far."
    job, pass_time = _worked("of_state", config, id=id)
    await pass_time()
    return f"{job.user} has {len(state['messages'])} messages"


async def _of_mood(id: int, mood: Annotated[str, InjectedState("mood")], config: RunnableConfig) -> str:
    "Tells the mood."
    job, pass_time = _worked("of_mood", config, id=id)
    await pass_time()
    return f"{job.user} is in {mood}"


async def _set_mood(id: int, tool_call_id: Annotated[str, InjectedToolCallId], config: RunnableConfig) -> Command[Any]:
    "Changes the mood."
    job, pass_time = _worked("set_mood", config, id=id)
    await pass_time()
    job.note()
    answer = ToolMessage(f"{job.user} changed its mood", tool_call_id=tool_call_id)
    return Command(update={"mood": f"mood of {id}", "messages": [answer]})


async def _of_store(id: int, store: Annotated[Any, InjectedStore()], config: RunnableConfig) -> str:
    "Keeps count in the graph's store."
    job, pass_time = _worked("of_store", config, id=id)
    found = await store.aget((job.user,), "count")
    count = (found.value["count"] if found else 0) + 1
    await store.aput((job.user,), "count", {"count": count})
    await pass_time()
    return f"{job.user} counted {count}"


async def _of_runtime(id: int, runtime: ToolRuntime) -> str:
    "Looks at its runtime."
    job, pass_time = _worked("of_runtime", runtime.config, id=id)
    await pass_time()
    return f"{job.user} is {runtime.tool_call_id} after {len(runtime.state['messages'])}"


async def _of_call(id: int, tool_call_id: Annotated[str, InjectedToolCallId], config: RunnableConfig) -> str:
    "Says its own id."
    job, pass_time = _worked("of_call", config, id=id)
    await pass_time()
    return f"{job.user} is {tool_call_id}"


async def _command(id: int, tool_call_id: Annotated[str, InjectedToolCallId], config: RunnableConfig) -> Command[Any]:
    "Updates the state by itself."
    job, pass_time = _worked("command", config, id=id)
    await pass_time()
    job.note()
    return Command(update={"messages": [ToolMessage(f"{job.user} commanded {id}", tool_call_id=tool_call_id)]})


async def _look_up(id: int, tool_call_id: Annotated[str, InjectedToolCallId], config: RunnableConfig) -> Command[Any]:
    "Reads an item and puts the answer into the state by itself."
    job, pass_time = _worked("look_up", config, id=id)
    await pass_time()
    answer = ToolMessage(job.world.read(_key(job, "item")), tool_call_id=tool_call_id)
    return Command(update={"messages": [answer]})


async def _commands(id: int, config: RunnableConfig) -> Any:
    "Returns a command that nobody sees in its signature."
    job, pass_time = _worked("commands", config, id=id)
    await pass_time()
    return Command(update={"notes": [f"{job.user} noted {id}"]}) if id % 2 else f"{job.user} noted nothing"


async def _direct(id: int, config: RunnableConfig) -> str:
    "Ends the run."
    job, pass_time = _worked("direct", config, id=id)
    await pass_time()
    return f"{job.user} ends with {id}"


async def _holding(id: int, config: RunnableConfig) -> Any:
    "Returns a list of content blocks, which a caller may change."
    job, pass_time = _worked("blocks", config, id=id)
    await pass_time()
    return [{"type": "text", "text": job.world.read(_key(job, "item"))}]


class _Artifact(BaseModel):
    id: int = Field(default=0)


async def _artifact(id: int, config: RunnableConfig) -> Any:
    "Returns content and an artifact."
    job, pass_time = _worked("artifact", config, id=id)
    await pass_time()
    return job.world.read(_key(job, "item")), {"rows": [id, job.user]}


def _structured(body: Any, name: str, **settings: Any) -> Callable[[], BaseTool]:
    return lambda: StructuredTool.from_function(coroutine=body, name=name, description=f"{name} of the zoo", **settings)


_READ_ITEM = {"read_only": True, "reads": ["item:{id}"]}
_SPECIAL: Mapping[str, tuple[Callable[[], BaseTool], Any]] = {
    "of_state": (_structured(_of_state, "of_state"), True),
    "of_mood": (_structured(_of_mood, "of_mood"), {"read_only": True, "reads": ["mood"], "reads_state": ["mood"]}),
    "set_mood": (_structured(_set_mood, "set_mood"), {"writes": ["something else"]}),
    "of_store": (_structured(_of_store, "of_store"), {"writes": ["count"]}),
    "of_runtime": (_structured(_of_runtime, "of_runtime"), True),
    "of_call": (_structured(_of_call, "of_call"), {"read_only": True}),
    "command": (_structured(_command, "command"), {"writes": ["state"]}),
    "look_up": (_structured(_look_up, "look_up"), _READ_ITEM),
    "commands": (_structured(_commands, "commands"), _READ_ITEM),
    "direct": (_structured(_direct, "direct", return_direct=True), True),
    "blocks": (_structured(_holding, "blocks"), _READ_ITEM),
    "artifact": (_structured(_artifact, "artifact", response_format="content_and_artifact"), _READ_ITEM),
}
