"""Seeded bugs: ways to break the library that the simulation must notice.

Each is a context manager; while it is open one promise is broken on purpose. A bug that no pair notices shows what the
zoo lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from langgraph_speculate.core import admission, budget, gate, launches, resources, session
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import State
from langgraph_speculate.core.table import Table
from langgraph_speculate.host import adopt, approvals, calls, launcher, retelling, run, tenants, turns
from langgraph_speculate.host.waiting import Waiting

BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


def bug(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Put a bug into the catalogue."""
    BUGS[make.__name__] = contextmanager(make)
    return make


def ignoring(*reasons: Reason) -> AbstractContextManager[Any]:
    """The gate does not know these rules: the first other reason decides."""
    stack = ExitStack()
    for name in ("_static", "_issue", "_commit"):
        real = getattr(gate, name)

        def lenient(*args: Any, _real: Any = real) -> Any:
            reason, detail = _real(*args)
            return (None, "") if reason in reasons else (reason, detail)

        stack.enter_context(patch.object(gate, name, lenient))
    return stack


# -- freshness -------------------------------------------------------------------------------------------------------


@bug
def no_invalidation_on_write() -> Iterator[None]:
    with (
        patch.object(resources.Epochs, "begin_write", lambda self, tags: None),
        patch.object(resources.Epochs, "end_write", lambda self, tags: None),
    ):
        yield


@bug
def invalidation_at_write_start_only() -> Iterator[None]:
    with (
        patch.object(resources.Epochs, "begin_write", lambda self, tags: self._bump(tags)),
        patch.object(resources.Epochs, "end_write", lambda self, tags: None),
    ):
        yield


@bug
def invalidation_at_write_end_only() -> Iterator[None]:
    with (
        patch.object(resources.Epochs, "begin_write", lambda self, tags: None),
        patch.object(resources.Epochs, "end_write", lambda self, tags: self._bump(tags)),
    ):
        yield


@bug
def stale_results_pass_the_gate() -> Iterator[None]:
    with (
        ignoring(Reason.STALE),
        patch.object(Session, "begin_call", _begin_call_without_squash),
    ):
        yield


def _begin_call_without_squash(self: Session, tool: Any, call: Any, now: float) -> Any:
    tags = session.render(tool.writes, call.args)
    self.view.epochs.begin_write(tags)
    return tags, []


@bug
def epoch_noted_when_the_attempt_ends() -> Iterator[None]:
    real = Session.finish

    def finish(self: Session, id: str, *args: Any) -> None:
        found = self.table.get(id)
        if found is not None:
            found.epoch = self.view.epochs.now
        real(self, id, *args)

    with patch.object(Session, "finish", finish), patch.object(Session, "begin_call", _begin_call_without_squash):
        yield


@bug
def reads_during_writes() -> Iterator[None]:
    with ignoring(Reason.PENDING_WRITE):
        yield


@bug
def tag_of_the_wrong_thing() -> Iterator[None]:
    real = session.render
    with patch.object(session, "render", lambda templates, args: real(templates, {**args, "id": 77})):
        yield


@bug
def undeclared_tools_write_nothing() -> Iterator[None]:
    with patch.object(
        ToolFacts, "writes", property(lambda self: self.rule.tool.effective_writes if self.rule.tool else ())
    ):
        yield


@bug
def expired_results_pass_the_gate() -> Iterator[None]:
    real = Session.begin_turn

    def begin_turn(self: Session, *args: Any) -> Any:
        with patch.object(Session, "_drop", lambda *args: []):
            return real(self, *args)

    with (
        ignoring(Reason.EXPIRED),
        patch.object(Session, "begin_turn", begin_turn),
        patch.object(Session, "end_turn", lambda self, turn, *args: self._ended.update({turn: True}) or []),
    ):
        yield


# -- identity --------------------------------------------------------------------------------------------------------


@bug
def key_is_the_tool_name() -> Iterator[None]:
    with (
        patch.object(session, "decide", lambda *args, **kwargs: gate.ALLOW),
        patch.object(launches, "decide", lambda *args, **kwargs: gate.ALLOW),
        patch.object(
            Table, "candidates_for", lambda self, key, venue: [s for s in self if s.state is not State.PROMOTED]
        ),
    ):
        yield


@bug
def circumstances_do_not_matter() -> Iterator[None]:
    with ignoring(Reason.CHANGED):
        yield


@bug
def one_result_for_two_calls() -> Iterator[None]:
    real = Table.match

    def match(self: Table, speculation: Any) -> None:
        ready = speculation.state is State.READY
        if ready:
            speculation.state = State.COMMITTED
            self.kept = {**getattr(self, "kept", {}), (speculation.call.key, speculation.venue): speculation}
        else:
            real(self, speculation)

    def candidates_for(self: Table, key: str, venue: str) -> Any:
        kept = getattr(self, "kept", {}).get((key, venue))
        if kept is not None:
            kept.state = State.READY
            return [kept]
        return found(self, key, venue)

    found = Table.candidates_for
    with patch.object(Table, "match", match), patch.object(Table, "candidates_for", candidates_for):
        yield


@bug
def results_of_other_users() -> Iterator[None]:
    shared: dict[Any, Any] = {}
    real = run.Run.__init__

    def init(self: Any, owner: Any, *args: Any) -> None:
        real(self, owner, *args)
        self._session.table = shared.setdefault(id(owner), self._session.table)

    with (
        patch.object(run.Run, "__init__", init),
        ignoring(Reason.CHANGED),
    ):
        yield


# -- what may run ----------------------------------------------------------------------------------------------------


@bug
def writes_run_ahead() -> Iterator[None]:
    with ignoring(Reason.NOT_READ_ONLY):
        yield


@bug
def approvals_are_overtaken() -> Iterator[None]:
    with ignoring(Reason.GATED):
        yield


@bug
def static_interrupts_are_overtaken() -> Iterator[None]:
    with patch.object(approvals, "static_interrupt", lambda *args: None):
        yield


@bug
def return_direct_runs_ahead() -> Iterator[None]:
    with ignoring(Reason.RETURN_DIRECT):
        yield


@bug
def context_variables_are_missing() -> Iterator[None]:
    with ignoring(Reason.CONTEXT):
        yield


@bug
def context_variables_are_not_passed_on() -> Iterator[None]:
    with patch.object(turns.Turns, "variables", lambda self: {}):
        yield


@bug
def one_attempt_too_many() -> Iterator[None]:
    real = admission.excess

    def excess(*args: Any, limits: Any, **kwargs: Any) -> Any:
        return real(*args, limits=replace(limits, max_in_flight=limits.max_in_flight + 1), **kwargs)

    with patch.object(budget, "excess", excess):
        yield


@bug
def wasted_attempts_are_not_counted() -> Iterator[None]:
    real = admission.excess

    def excess(*args: Any, spent: Any, **kwargs: Any) -> Any:
        return real(*args, spent=spent._replace(wasted=0), **kwargs)

    with patch.object(budget, "excess", excess):
        yield


# -- results and ends ------------------------------------------------------------------------------------------------


@bug
def tainted_results_are_adopted() -> Iterator[None]:
    with _finishing(taint=None):
        yield


@bug
def errors_of_attempts_are_shown() -> Iterator[None]:
    def kept(outcome: Outcome) -> Outcome:
        value = f"error: {outcome.error}" if outcome.error is not None else outcome.value
        return replace(outcome, value=value, error=None)

    with _rewriting(kept):
        yield


@bug
def late_results_arrive_as_errors() -> Iterator[None]:
    with patch.object(Session, "_rejection", lambda self, outcome, size, started: None):
        yield


def _finishing(**changes: Any) -> AbstractContextManager[Any]:
    return _rewriting(lambda outcome: replace(outcome, **changes))


def _rewriting(change: Callable[[Outcome], Outcome]) -> AbstractContextManager[Any]:
    real = Session.finish

    def finish(self: Session, id: str, outcome: Outcome, *args: Any) -> None:
        real(self, id, change(outcome), *args)

    return patch.object(Session, "finish", finish)


@bug
def nothing_is_cleaned_up() -> Iterator[None]:
    with patch.object(run.Run, "close", lambda self: []):
        yield


@bug
def adoption_waits_without_limit() -> Iterator[None]:
    with patch.object(Waiting, "_patience", lambda self, speculation: 1e6):
        yield


@bug
def real_calls_wait_out_the_deadline() -> Iterator[None]:
    real = Waiting._patience
    with patch.object(Waiting, "_patience", lambda self, speculation: real(self, speculation) + 7.0):
        yield


@bug
def effects_are_replayed_twice() -> Iterator[None]:
    def twice(emitted: Any, around: Any) -> Iterator[Any]:
        yield from once(emitted, around)
        yield from once(emitted, around)

    once = retelling._translated
    with patch.object(retelling, "_translated", twice):
        yield


@bug
def effects_are_not_replayed() -> Iterator[None]:
    with patch.object(retelling, "_translated", lambda emitted, around: iter(())):
        yield


@bug
def the_body_runs_besides() -> Iterator[None]:
    """Double commit: the result is adopted, and the body runs too."""
    real = calls.RealCalls.acall

    async def acall(self: Any, tool: Any, arguments: Any, body: Any, id: str) -> Any:
        ran = False

        async def noted() -> Any:
            nonlocal ran
            ran = True
            return await body()

        value = await real(self, tool, arguments, noted, id)
        return value if ran else await body()

    with patch.object(calls.RealCalls, "acall", acall):
        yield


@bug
def partitions_are_all_apart() -> Iterator[None]:
    """Two runs of one user do not see each other's writes."""
    with patch.object(tenants.Tenants, "epochs_of", lambda self, configurable: resources.Epochs()):
        yield


@bug
def adopting_goes_on_after_the_end() -> Iterator[None]:
    """Attempts of a closed run are not stopped."""
    from langgraph_speculate.host.runner import Runner

    with patch.object(Runner, "cancel", lambda self, ids: []):
        yield


@bug
def calls_are_compared_loosely() -> Iterator[None]:
    """Arguments as the model wrote them, not as the body receives them."""
    real = adopt.speculative_body

    def body(tool: Any, venue: str, arguments: Any, slots: Any) -> Any:
        changed = {name: (0 if name == "id" else value) for name, value in arguments.named.items()}
        return real(tool, venue, replace(arguments, named=changed), slots)

    with patch.object(launcher, "speculative_body", body):
        yield
