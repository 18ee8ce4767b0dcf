"""The real calls of a run: each adopts a result, waits for one, is given an earlier answer again, or executes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import Call, size_of
from langgraph_speculate.core.commands import MISS, Commit, Join, Miss
from langgraph_speculate.core.repeats import Remembered
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host import clock
from langgraph_speculate.host.arithmetic import decimal_here
from langgraph_speculate.host.compat.configs import child_config, runtime_of
from langgraph_speculate.host.compat.langsmith import traced_run
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.entry import TASK, THREAD, Arguments, Entry, keyable
from langgraph_speculate.host.place import guarded
from langgraph_speculate.host.previewer import Previewer
from langgraph_speculate.host.results import handed_over, repeatable
from langgraph_speculate.host.retelling import areplay, replay
from langgraph_speculate.host.runner import await_, wait
from langgraph_speculate.host.sandbox import circumstances_of
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.host.turns import Turns
from langgraph_speculate.host.waiting import Waiting
from langgraph_speculate.host.witness import Witness
from langgraph_speculate.policy.guards import objection

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_INSIDE: ContextVar[tuple[RealCalls, ...]] = ContextVar("speculate_inside", default=())
"""The runs whose real tool calls are executing here: what those tools call in turn is their own business."""


@dataclass(slots=True)
class RealCall:
    """A call that the model made, in its tool's body.

    Attributes:
        entry: The tool.
        call: The call as the body receives it.
        arguments: What the body receives for it.
        venue: Where it runs.
        at: When it arrived, in seconds on the monotonic clock.
        remembers: Whether answers of its tool are given again.
        id: The id that the model's provider gave it; empty if it has none.
        circumstances: What the tool may see of its run, or None if nobody asked or it cannot be compared.
        imagined: The speculation that would have answered it, at the level `shadow`.
    """

    entry: Entry
    call: Call
    arguments: Arguments
    venue: str
    at: float
    remembers: bool
    id: str = ""
    circumstances: Any = None
    imagined: Speculation | None = None


@dataclass(slots=True)
class Execution:
    """A real call's body, running.

    Attributes:
        slots: What it is to be handed in place of what its `run` had filled in.
        answer: What it answered.
    """

    slots: dict[str, Any] = field(default_factory=dict)
    answer: Any = None

    def answered(self, value: Any) -> Any:
        """Note the answer, and return it."""
        self.answer = value
        return value


class RealCalls:
    """Moment 4 of a run, and the half of moment 5 that is about calls.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        toolbox: The graph's tools.
        turns: The model's turns of the run.
        is_async: Whether the run has an event loop.
        previewer: Starts the model's next call on remembered results, or None.
    """

    def __init__(
        self,
        engine: Engine,
        driver: Driver,
        toolbox: Toolbox,
        turns: Turns,
        is_async: bool,
        previewer: Previewer | None = None,
    ) -> None:
        self._engine = engine
        self._driver = driver
        self._toolbox = toolbox
        self._turns = turns
        self._is_async = is_async
        self._previewer = previewer
        self._waiting = Waiting(engine, driver, turns.variables)

    def executing(self) -> bool:
        """Whether this runs inside of one of the run's real tool calls."""
        return self in _INSIDE.get()

    def call(self, tool: BaseTool, arguments: Arguments, body: Callable[..., Any], id: str) -> Any:
        """A real call of that id reached the tool's sync body: adopt a result, or execute."""
        real = self._arrived(tool, arguments, THREAD, id)
        answer = self._resolve(real)
        joined = isinstance(answer, Join)
        if isinstance(answer, Join):
            with self._waiting.around(answer.speculation, real.entry.facts) as waits:
                for attempts, patience in waits:
                    wait(attempts, patience)
            answer = self._waiting.claim(answer.speculation)
        if isinstance(answer, Commit):
            with self._adopting(answer, joined, real):
                replay(answer.outcome.effects, arguments)
            return handed_over(answer.outcome.value)
        if isinstance(answer, Remembered):
            return self._repeated(answer, real)
        with self._executing(real) as execution:
            return execution.answered(body(**execution.slots))

    async def acall(
        self, tool: BaseTool, arguments: Arguments, body: Callable[..., Coroutine[Any, Any, Any]], id: str
    ) -> Any:
        """`call` for the tool's native async body."""
        real = self._arrived(tool, arguments, TASK, id)
        answer = self._resolve(real)
        joined = isinstance(answer, Join)
        if isinstance(answer, Join):
            with self._waiting.around(answer.speculation, real.entry.facts) as waits:
                for attempts, patience in waits:
                    await await_(attempts, patience)
            answer = self._waiting.claim(answer.speculation)
        if isinstance(answer, Commit):
            with self._adopting(answer, joined, real):
                await areplay(answer.outcome.effects, arguments)
            return handed_over(answer.outcome.value)
        if isinstance(answer, Remembered):
            return self._repeated(answer, real)
        with self._executing(real) as execution:
            return execution.answered(await body(**execution.slots))

    def _arrived(self, tool: BaseTool, arguments: Arguments, venue: str, id: str) -> RealCall:
        entry = self._toolbox.entry_of(tool)
        self._toolbox.ran(entry.facts, self._is_async, venue)
        return RealCall(entry, entry.call(arguments), arguments, venue, clock.now(), self._remembers(entry), id)

    def _remembers(self, entry: Entry) -> bool:
        """Whether answers of a tool are given again; not those of another one of the same name."""
        policy, level = entry.facts.rule.tool, self._driver.session.view.level
        asked = policy is not None and policy.read_through and level != "shadow"
        return asked and self._toolbox.is_own(entry)

    def _resolve(self, real: RealCall) -> Commit | Join | Remembered | Miss:
        answer = self._found(real)
        if self._previewer is not None and isinstance(answer, Join | Miss):
            with self._driver.harmless():
                self._previewer.tool_runs(real.id)
        return answer

    def _found(self, real: RealCall) -> Commit | Join | Remembered | Miss:
        missed: Commit | Join | Remembered | Miss = MISS
        call, entry = real.call, real.entry
        if not (real.remembers or self._driver.session.may_answer(call.name)) or keyable(call) is None:
            return missed
        if not self._toolbox.is_own(entry):
            return missed  # what ran ahead was another tool of that name
        config, guards = child_config() or {}, self._engine.policy.guards
        try:
            around = circumstances_of(config, self._turns.variables(), decimal_here())
            real.circumstances = entry.circumstances(around, real.arguments, config)
        except Exception as error:  # noqa: BLE001 - a value of the caller's: what cannot be compared is not used
            self._engine.trip(call.name, f"what cannot be compared ({type(error).__name__})")
            return missed
        if not self._driver.session.may_answer(call.name):
            return missed
        against = objection(guards, guarded(call, config, "commit")) if guards else None
        here, id, session = real.circumstances, entry.id_of(real.arguments), self._driver.session
        answer = self._driver.answer(
            lambda now: session.resolve(call, entry.facts, real.venue, now, here, against, id), missed
        )
        if isinstance(answer, Miss):
            real.imagined = answer.imagined
        return answer

    def _repeated(self, answer: Remembered, real: RealCall) -> Any:
        """A remembered answer is given again: no body runs, and nothing was hidden."""

        def settle(now: float) -> None:
            took_s = now - real.at
            self._settle(real, now, hit=None, joined=False, waited_s=took_s, tool_s=took_s, repeat=True)

        self._driver.note(settle)
        self._driver.trace.missed(real.call.name, traced_run(child_config()), repeat=True)
        return handed_over(answer.value)

    @contextmanager
    def _executing(self, real: RealCall) -> Iterator[Execution]:
        """Around the body of a real call: what it may write changes at its start and at its end."""
        began, facts = clock.now(), real.entry.facts
        tags: frozenset[str] = frozenset()
        if facts.writes:
            tags = self._driver.answer(lambda now: self._driver.session.begin_call(facts, real.call, now), tags)
        token = _INSIDE.set((*_INSIDE.get(), self))
        error: BaseException | None = None
        execution = Execution()
        self._engine.brakes.began(facts.name, facts.rule.tool, began)
        try:
            with self._witnessing(real) as execution:
                yield execution
        except BaseException as raised:
            error = raised
            raise
        finally:
            _INSIDE.reset(token)
            self._engine.brakes.ended(facts.name, facts.rule.tool, error, clock.now())
            self._imagined(real, error)
            self._driver.note(lambda now: self._executed(real, tags, now - began, now))
            self._told_previewer(real, execution.answer, error)
            self._driver.trace.missed(facts.name, traced_run(child_config()))

    @contextmanager
    def _witnessing(self, real: RealCall) -> Iterator[Execution]:
        """Around a body whose answer may be given again, if it is all that the body has to say."""
        # What the host injects may lead past any witness.
        draft = self._draft(real) if real.remembers and real.entry.injection is None else None
        if draft is None:
            yield Execution()
            return
        witness = Witness()
        with witness.beside(real.arguments.slots) as slots:
            yield (execution := Execution(slots))
        if not witness.saw and real.entry.left_as_in(real.call, real.arguments):
            self._remember(draft, execution.answer)

    def _draft(self, real: RealCall) -> Remembered | None:
        nothing: Remembered | None = None
        if real.circumstances is None:
            return nothing
        call, facts, here = real.call, real.entry.facts, real.circumstances
        return self._driver.answer(
            lambda now: (self._driver.session.begin_read(call, facts, real.venue, now, here), []), nothing
        )

    def _remember(self, draft: Remembered, value: Any) -> None:
        """Keep a copy of an answer, if copies of it will do."""
        if repeatable(value):
            kept, size = handed_over(value), size_of(value, self._engine.policy.limits.max_result_bytes)
            self._driver.note(lambda now: self._driver.session.remember(draft, kept, size, now))

    def _executed(self, real: RealCall, tags: frozenset[str], tool_s: float, now: float) -> None:
        self._driver.session.end_call(tags, now)
        self._settle(real, now, hit=real.imagined, joined=False, waited_s=now - real.at, tool_s=tool_s)

    def _imagined(self, real: RealCall, error: BaseException | None) -> None:
        """What is imagined for a real call would not have answered it if that raised."""
        guess = real.imagined
        if guess is not None and error is not None:
            real.imagined = None
            self._driver.decide(lambda now: self._driver.session.abandon(guess, now))

    def _told_previewer(self, real: RealCall, answer: Any, error: BaseException | None) -> None:
        if self._previewer is not None:
            with self._driver.harmless():
                self._previewer.tool_ended(real.id, real.entry, answer, error)

    def _settle(self, real: RealCall, now: float, **how: Any) -> None:
        turn = self._turns.asking.get(real.id, "")
        self._driver.session.settle(real.entry.facts.name, now=now, call=real.id, turn=turn, **how)

    @contextmanager
    def _adopting(self, answer: Commit, joined: bool, real: RealCall) -> Iterator[None]:
        """Around what is made up for when a result is adopted."""
        hit, facts = answer.speculation, real.entry.facts
        counts = not hit.left  # with its run over it answers its call, but is no hit
        self._engine.brakes.adopted(facts.name, facts.rule.tool, real.at)
        self._told_previewer(real, answer.outcome.value, None)
        try:
            yield
            if real.remembers and hit.call_id is None and not answer.outcome.effects.effects:
                self._remember(Remembered.of(hit), answer.outcome.value)
        finally:
            how: dict[str, Any] = {"hit": hit, "joined": joined} if counts else {"hit": None, "joined": False}
            self._driver.note(lambda now: self._settle(real, now, waited_s=now - real.at, tool_s=hit.ran_s, **how))
            if self._engine.announces and counts:
                self._announce(hit, joined, real)
            call, waited_s = traced_run(child_config()), clock.now() - real.at
            if counts:
                self._driver.trace.adopted(hit, call, joined=joined, waited_s=waited_s, arrived_at=real.at)
            else:
                self._driver.trace.missed(facts.name, call)

    def _announce(self, hit: Speculation, joined: bool, real: RealCall) -> None:
        """Tell whoever streams `custom` that a result was adopted, from inside of the call that adopted it."""
        writer = getattr(runtime_of(child_config() or {}), "stream_writer", None)
        if writer is None:
            return
        waited_s = clock.now() - real.at
        facts = {"id": hit.id, "tool": hit.call.name, "tool_call_id": real.id, "outcome": "joined" if joined else "hit"}
        with suppress(Exception):  # a stream that nobody reads any more is no reason to fail a call
            writer({"type": "speculation", **facts, "saved_s": hit.ran_s - waited_s, "waited_s": waited_s})
