"""One side of a pair: a program run once, plain or speculating, and everything a caller could see of it."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from langgraph_speculate import speculate
from langgraph_speculate.core.events import Event
from langgraph_speculate.observe.observers import at_once
from tests.sim.canon import Canon
from tests.sim.graphs import graph_of
from tests.sim.loop import Mode, Ran, Witness, active, run
from tests.sim.models import SCRIPTS, number_of
from tests.sim.predictors import predictor_of
from tests.sim.programs import Program, Visit
from tests.sim.remembering import fill
from tests.sim.tools import TENANT
from tests.sim.world import WORLDS, World, call_text, pick

_MOST_ANSWERS = 8
_ENOUGH = 19
"""Bodies after which it is known what is slow for a tool."""


class Watch(BaseCallbackHandler):
    """The caller's own callback handler: what it was told, and when each real call was made."""

    run_inline = True  # on the loop, so that its times are true

    def __init__(self, visit: Visit, clock: Any) -> None:
        self.events: list[tuple[str, Any]] = []
        self.outputs: list[Any] = []
        self.calls: dict[UUID, Call] = {}
        self.asked: dict[str, Asked] = {}
        self._turn = 0.0
        self._user = visit.user
        self._clock = clock

    def on_chain_end(self, outputs: Any, *, parent_run_id: UUID | None = None, **_kwargs: Any) -> None:
        if parent_run_id is None:
            self.outputs.append(outputs)

    def on_chat_model_start(self, _serialized: Any, messages: Any, *, run_id: UUID, **_kwargs: Any) -> None:
        self.events.append(("model starts", len(messages[0])))
        self._turn = self._clock()
        self.asked[str(run_id)] = Asked(len(self.asked), number_of(messages[0]), self._turn)

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_kwargs: Any) -> None:
        message = chunk.message
        self.events.append(("model says", [message.content, message.tool_call_chunks]))
        names = [piece["name"] for piece in message.tool_call_chunks if piece["name"]]
        self.asked[str(run_id)].named += [(self._clock(), name) for name in names]

    def on_llm_end(self, response: Any, *, run_id: UUID, **_kwargs: Any) -> None:
        self.events.append(("model ends", None))
        self.asked[str(run_id)].calls = [call["args"] for call in response.generations[0][0].message.tool_calls]

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_kwargs: Any) -> None:
        self.events.append(("model fails", repr(error)))
        self.asked[str(run_id)].failed = True

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, inputs: Any = None, **_kw: Any) -> None:
        tool = serialized["name"]
        self.events.append(("tool starts", (tool, input_str)))
        self.calls[run_id] = Call(tool, self._user, inputs or {}, self._clock(), self._turn)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_kwargs: Any) -> None:
        self.events.append(("tool ends", output))
        self._ended(run_id, output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_kwargs: Any) -> None:
        self.events.append(("tool fails", repr(error)))
        self._ended(run_id, None)

    def on_custom_event(self, name: str, data: Any, **_kwargs: Any) -> None:
        self.events.append(("custom", (name, data)))

    def _ended(self, run_id: UUID, output: Any) -> None:
        call = self.calls[run_id]
        call.ended, call.output = self._clock(), getattr(output, "content", output)


class Bystander(BaseCallbackHandler):
    """A handler that LangChain calls in a thread, which takes its time."""

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
        return None

    def on_tool_start(self, *_args: Any, **_kwargs: Any) -> None:
        return None

    def on_tool_end(self, *_args: Any, **_kwargs: Any) -> None:
        return None


@dataclass
class Call:
    """A real call, from its start to its answer.

    Attributes:
        turn: When the model call that asked for it began.
    """

    tool: str
    user: str
    args: Mapping[str, Any]
    started: float
    turn: float
    ended: float | None = None
    output: Any = None


@dataclass
class Asked:
    """A model call.

    Attributes:
        place: How many came before it.
        number: Which answer of the script it is for.
        started: When.
        failed: It raised.
        named: Tools that its stream named in calls, each with the time.
        calls: The arguments of its calls, or None while it goes on.
    """

    place: int
    number: int
    started: float
    failed: bool = False
    named: list[tuple[float, str]] = field(default_factory=list)
    calls: list[Mapping[str, Any]] | None = None


@dataclass
class Seen:
    """What one visit showed its caller.

    Attributes:
        state: Final states, or what the streams ended with.
        error: Type and text of what it raised, or None.
        chunks: What was streamed.
        events: What the callbacks were told.
        history: Its checkpoints, newest first.
        ended: When it was over.
        calls: Its real calls.
        messages: Its last messages, as they are.
        asked: Its model calls, by their run's id, in order.
    """

    state: Any = None
    error: str | None = None
    chunks: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    history: list[Any] = field(default_factory=list)
    ended: float = 0.0
    calls: list[Call] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)


@dataclass
class Side:
    """A program, run once."""

    world: World
    visits: dict[str, Seen]
    ran: Ran
    happened: list[Event]

    def logs(self) -> dict[str, list[tuple[str, str, str]]]:
        """Effects by user, in order."""
        users = sorted({effect[0] for effect in self.world.log})
        return {user: [effect for effect in self.world.log if effect[0] == user] for user in users}

    def durations(self, queue_wait_s: float) -> dict[tuple[str, str, str, int], float]:
        """How long each real call took, for a plain run that is to follow this one."""
        nth: Counter[tuple[str, str, str]] = Counter()
        found = {}
        for call in sorted((c for seen in self.visits.values() for c in seen.calls), key=lambda c: c.started):
            text = text_of(call.args)
            if text is None:
                continue
            key = call.user, call.tool, text
            nth[key] += 1
            if call.ended is not None:
                found[*key, nth[key]] = max(0.0, call.ended - call.started - queue_wait_s)
        return found


def run_side(
    program: Program,
    speculative: bool,
    mode: Mode = "fifo",
    *,
    schedule: int = 0,
    durations: Mapping[tuple[str, str, str, int], float] | None = None,
    told: list[list[Any]] | None = None,
    witness: Witness | None = None,
) -> Side:
    """Run one side in a new loop and a new world.

    Args:
        program: The program.
        speculative: Whether to wrap the graph.
        mode: The loop's.
        schedule: Other latencies, for racy programs.
        durations: Seconds of single calls, for racy programs.
        told: Conversations the default predictor knows.
        witness: Looks on.
    """
    happened: list[Event] = []
    plain = graph_of(program.form)
    if program.checkpointed:
        plain = copy.copy(plain)
        plain.checkpointer, plain.store = InMemorySaver(), InMemoryStore()
    graph = plain
    if speculative:
        graph = speculate(
            plain, program.policy, predictor=predictor_of(program, told or []), observers=[at_once(happened.append)]
        )
        if told and program.remembered != "nothing":
            fill(graph.speculation_engine, program, told)
        for name in program.tools if program.usual_s is not None else ():
            for _ in range(_ENOUGH):
                graph.speculation_engine.economy.latencies.took(name, program.usual_s)
    world = World(
        program.seed,
        _now,
        speculative,
        schedule=schedule,
        faults=program.faults,
        durations=durations or {},
        revoked=program.revoked,
    )
    visits = {visit.tag: Seen() for visit in program.visits}
    WORLDS.current, SCRIPTS.current = world, program.scripts()
    try:
        seed = program.seed + schedule
        ran = run(_visits(program, graph, visits), seed, mode, program.queue_wait_s, schedule, witness)
    finally:
        WORLDS.current, SCRIPTS.current = None, {}
    return Side(world, visits, ran, happened)


def _now() -> float:
    return active().time()


async def _visits(program: Program, graph: Any, visits: dict[str, Seen]) -> None:
    visitors = [
        asyncio.ensure_future(_Visitor(program, graph, visit, visits[visit.tag]).run()) for visit in program.visits
    ]
    try:
        await asyncio.gather(*visitors)
    finally:
        if not all(visitor.done() for visitor in visitors):  # one that is cancelled ends before the others have
            await asyncio.wait(visitors)


class _Visitor:
    """Carries out one visit."""

    def __init__(self, program: Program, graph: Any, visit: Visit, seen: Seen) -> None:
        self.program, self.graph, self.visit, self.seen = program, graph, visit, seen
        self._clock = asyncio.get_running_loop().time
        self._watch = Watch(visit, self._clock)
        self._raw: list[Any] = []
        self._states: list[Any] = []
        self._history: list[Any] = []
        self.config: dict[str, Any] = {
            "configurable": {"thread_id": visit.tag, "user_id": visit.user, "region": f"of {visit.user}"},
            "callbacks": [self._watch] if program.inline else [self._watch, Bystander()],
            "tags": [f"tag of {visit.user}"],
            **program.config,
        }

    async def run(self) -> None:
        await asyncio.sleep(self.visit.starts_s)
        TENANT.set(self.visit.user)
        ending = self.program.ending
        try:
            if ending.kind in ("timeout", "limit"):
                await asyncio.wait_for(self._conversation(), ending.at)
            elif ending.kind == "cancel":
                task = asyncio.ensure_future(self._conversation())
                asyncio.get_running_loop().call_later(ending.at, task.cancel)
                await task
            else:
                await self._conversation()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is what is compared
            self.seen.error = f"{type(error).__module__}.{type(error).__qualname__}: {Canon().text(str(error))}"
        self.seen.ended = self._clock()
        if self.program.checkpointed:
            self._history = [state async for state in self.graph.aget_state_history(_where(self.config))]
        self._sum_up()

    async def _conversation(self) -> None:
        for number in range(self.visit.inputs):
            said = HumanMessage(f"{self.visit.tag} says {number}", id=f"h.{self.visit.tag}.{number}")
            await self._until_settled({"messages": [said], **self._mood(number)}, self.config)
        if self.visit.then:
            await self._again()

    def _mood(self, number: int) -> dict[str, str]:
        """Another channel of the state, where a graph has one."""
        return {"mood": f"mood {number}"} if "of_mood" in self.program.tools else {}

    async def _until_settled(self, given: Any, config: dict[str, Any]) -> None:
        """One run, resumed with a person's answers until nothing is asked any more."""
        await self._once(given, config)
        for _ in range(_MOST_ANSWERS if self.program.checkpointed else 0):
            state = await self.graph.aget_state(_where(self.config))
            if not state.next:
                return
            answers = {stop.id: _decision(self.program.seed, stop.value) for stop in state.interrupts}
            await self._once(Command(resume=answers) if answers else None, self.config)

    async def _again(self) -> None:
        """Go back to an earlier checkpoint and on from there."""
        past = [state async for state in self.graph.aget_state_history(_where(self.config)) if state.next]
        if not past:
            return
        chosen = past[pick(tuple(range(len(past))), self.program.seed, "fork")]
        config = chosen.config
        if self.visit.then == "rewrite":
            config = await self.graph.aupdate_state(config, {"messages": [AIMessage("rewritten", id="m.rewritten")]})
        config = {**self.config, "configurable": {**self.config["configurable"], **config["configurable"]}}
        await self._until_settled(None, config)

    async def _once(self, given: Any, config: dict[str, Any]) -> None:
        program = self.program
        if not program.modes:
            self._states.append(await self.graph.ainvoke(given, config, **program.stops))
            return
        modes: Any = list(program.modes) if len(program.modes) > 1 else program.modes[0]
        stream = self.graph.astream(given, config, stream_mode=modes, subgraphs=program.subgraphs, **program.stops)
        try:
            async for chunk in stream:
                self._raw.append(self._kept(chunk))
                if program.ending.kind == "break" and len(self._raw) >= program.ending.at:
                    break
        finally:
            await stream.aclose()

    def _kept(self, chunk: Any) -> Any:
        """A chunk as it is now: states change in place. A message that a tool's end shows gets its id at any moment."""
        shows_tool = isinstance(chunk, tuple) and "tools" in chunk[:-1]
        return copy.deepcopy(chunk) if "values" in self.program.modes and not shows_tool else chunk

    def _sum_up(self) -> None:
        canon, seen, watch = Canon(), self.seen, self._watch
        seen.state = canon.first([self._states, watch.outputs])
        seen.chunks = [canon(chunk) for chunk in self._raw]
        seen.events = [(kind, canon(what)) for kind, what in watch.events]
        seen.history = [
            canon([state.values, state.next, state.metadata, [task.name for task in state.tasks], state.interrupts])
            for state in self._history
        ]
        seen.calls, seen.asked = list(watch.calls.values()), watch.asked
        last = watch.outputs[-1] if watch.outputs else None
        seen.messages = list(last.get("messages", ())) if isinstance(last, dict) else []


def text_of(args: Mapping[str, Any]) -> str | None:
    """Arguments as canonical text, or None if they do not fit any tool."""
    try:
        return call_text(args)
    except (TypeError, ValueError):  # arguments that do not fit never reach a body
        return None


def _where(config: dict[str, Any]) -> dict[str, Any]:
    return {"configurable": config["configurable"]}


def _decision(seed: int, asked: Any) -> Any:
    """What a person answers: a pure function of the question."""
    if "action_requests" in asked:
        return {"decisions": [_verdict(seed, request) for request in asked["action_requests"]]}
    return _verdict(seed, asked) if asked.get("type") == "tool_approval" else f"answer to {sorted(asked.items())}"


def _verdict(seed: int, request: Any) -> Any:
    name, args = request["name"], request["args"]
    kind = pick(("approve", "approve", "edit", "reject"), seed, name, args)
    if kind == "edit":
        edited = {**args, "id": (int(args.get("id", 0)) + 1) % 4}
        return {"type": "edit", "edited_action": {"name": name, "args": edited}}
    return {"type": kind} if kind == "approve" else {"type": kind, "message": "no"}


def without_ending(program: Program) -> Program:
    """The same program, run to its end."""
    return replace(program, ending=type(program.ending)())
