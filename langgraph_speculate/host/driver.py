"""Drives a session: one step at a time under the lock, then what the step commands.

The lock is held only inside of the core, which never waits; tasks, threads and observers are met outside of it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from langgraph_speculate.core.commands import Cancel, Command, Imagine, Launch
from langgraph_speculate.core.events import Event
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host import clock
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.runner import Runner
from langgraph_speculate.observe.langsmith import RunTrace

Answer = TypeVar("Answer")


_STARTS = (Launch, Imagine)


def _unseen(speculation: Speculation) -> None:
    """Nobody needs to know of it."""


class Driver:
    """One session with the runner that carries out its commands.

    Args:
        session: The decisions.
        runner: The tasks and threads.
        lock: Shared by all sessions that may touch the same resources.
        publish: Takes what happened.
        warn: Takes a cause and a message.
        trace: What LangSmith is told of the run.
    """

    def __init__(
        self,
        session: Session,
        runner: Runner,
        lock: AbstractContextManager[Any],
        publish: Callable[[Sequence[Event]], None],
        warn: Callable[[str, str], None],
        trace: RunTrace,
    ) -> None:
        self.session = session
        self.runner = runner
        self._lock = lock
        self._publish = publish
        self._warn = warn
        self.trace = trace

    def decide(
        self,
        step: Callable[[float], list[Command]],
        start: Callable[[Speculation], Attempt[Speculation]] | None = None,
        seen: Callable[[Speculation], None] = _unseen,
    ) -> None:
        """Take a step that only commands.

        Args:
            step: The step.
            start: Makes the attempt of each launch.
            seen: Told of each launch before, and of what is only imagined, too.
        """
        self.answer(lambda now: (None, step(now)), None, start, seen)

    def note(self, step: Callable[[float], None]) -> None:
        """Take a step that neither answers nor commands."""

        def noted(now: float) -> tuple[None, list[Command]]:
            step(now)
            return None, []

        self.answer(noted, None)

    def answer(
        self,
        step: Callable[[float], tuple[Answer, list[Command]]],
        otherwise: Answer,
        start: Callable[[Speculation], Attempt[Speculation]] | None = None,
        seen: Callable[[Speculation], None] = _unseen,
    ) -> Answer:
        """Take one step of the session under the lock, then carry out what it commands."""
        answer = otherwise
        commands: list[Command] = []
        try:
            with self._lock:
                answer, commands = step(clock.now())
                happened = self.session.take_events()
        except Exception as error:  # noqa: BLE001 - a bug of ours must not become the user's
            commands, happened = self._given_up(error)
        for command in commands:
            if isinstance(command, _STARTS):
                seen(command.speculation)
            if isinstance(command, Launch) and start is not None:
                with self.harmless():
                    self.runner.start(start(command.speculation))
            elif isinstance(command, Cancel) and not command.drain:
                self.runner.cancel([command.id])
        self.trace.take(happened)
        self._publish(happened)
        return answer

    @contextmanager
    def harmless(self) -> Iterator[None]:
        """Around what is done for the run alone: a bug of ours must not become the user's."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            raised = error
            self.answer(lambda now: (None, self._end(raised, now)), None)

    def _given_up(self, error: Exception) -> tuple[list[Command], list[Event]]:
        """End a session in which something went wrong; what to do, and what happened."""
        try:
            with self._lock:
                return self._end(error, clock.now()), self.session.take_events()
        except Exception:  # noqa: BLE001 - it cannot even be ended
            self.session.closed = True
            return [], []

    def _end(self, error: Exception, now: float) -> list[Command]:
        # Its words may quote a user's.
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__} at {where.name}, line {where.lineno} of {where.filename}"
        self._warn(f"internal-{told}", f"an internal error, so this run speculates no further: {told}")
        return self.session.close(now)
