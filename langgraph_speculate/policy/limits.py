"""How much may run ahead, whatever it is worth: bounds that nothing exceeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langgraph_speculate.policy import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may run ahead.

    Attributes:
        max_in_flight: Attempts at one instant. 0 turns running ahead off.
        max_per_turn: Guesses of one model turn that stand at one time, for each message they are about; one that its
            stream rules out makes room.
        max_per_run: Guesses per run of the graph.
        max_in_process: Attempts at one instant of all graphs in this process.
        max_depth: How far ahead: 1 for calls of the message that the model is writing, 2 for those of the message after
            it, and so on.
        max_wasted_per_run: Guesses per run that nobody wanted; then the run goes on without. As many calls again that
            the model had written, in messages that broke.
        max_wasted_s_per_run: The same in seconds of their bodies.
        max_wasted_per_thread: Attempts per thread that nobody wanted, as long as the process remembers it.
        max_ghost_per_run: Attempts per run that left your trust boundary and that nobody wanted. Must be set for the
            level `open_world`.
        max_result_bytes: A larger result is dropped and the real call runs.
        max_cache_bytes: Results of one run that wait for a real call; beyond it the oldest is dropped.
        attempt_timeout_s: Seconds after which an attempt is given up.
        rate_share: How much of a declared rate attempts may use, in [0, 1].
        cool_down_s: Seconds for which a tool is left alone after its service said that it is overloaded, or an attempt
            of it failed time and again; at first also for which what does not pay is only predicted. 0 turns both off.
        max_wasted_tokens_per_run: Tokens per run of the graph that may be spent on previews (`model_ahead`) that turn
            out wrong, input and output together.
        max_wasted_tokens_per_hour: The same per hour, for all runs of the graph.
        max_previews_per_model: Previews of one model that may run at one instant, of all runs of the graph.
        max_memory_bytes: Results of tools that are remembered for previews.

    Raises:
        PolicyError: A value is out of range.

    >>> Limits(max_in_flight=2).max_per_turn
    3
    """

    max_in_flight: int = 4
    max_per_turn: int = 3
    max_per_run: int = 60
    max_in_process: int = 512
    max_depth: int = 1
    max_wasted_per_run: int = 20
    max_wasted_s_per_run: float = 60.0
    max_wasted_per_thread: int = 500
    max_ghost_per_run: int = 0
    max_result_bytes: int = 1_000_000
    max_cache_bytes: int = 64_000_000
    attempt_timeout_s: float = 30.0
    rate_share: float = 0.2
    cool_down_s: float = 60.0
    max_wasted_tokens_per_run: int = 50_000
    max_wasted_tokens_per_hour: int = 1_000_000
    max_previews_per_model: int = 2
    max_memory_bytes: int = 16_000_000

    CHECKS: ClassVar[Mapping[str, checks.Check]] = MappingProxyType(
        {
            "max_in_flight": checks.count,
            "max_per_turn": checks.count,
            "max_per_run": checks.count,
            "max_in_process": checks.count,
            "max_depth": checks.positive_count,
            "max_wasted_per_run": checks.count,
            "max_wasted_s_per_run": checks.seconds,
            "max_wasted_per_thread": checks.count,
            "max_ghost_per_run": checks.count,
            "max_result_bytes": checks.count,
            "max_cache_bytes": checks.count,
            "attempt_timeout_s": checks.positive_seconds,
            "rate_share": checks.share,
            "cool_down_s": checks.seconds,
            "max_wasted_tokens_per_run": checks.count,
            "max_wasted_tokens_per_hour": checks.count,
            "max_previews_per_model": checks.count,
            "max_memory_bytes": checks.count,
        }
    )

    def __post_init__(self) -> None:
        checks.refuse_any(checks.problems({name: getattr(self, name) for name in self.CHECKS}, self.CHECKS))
