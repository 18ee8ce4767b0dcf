"""What must hold of how the model's provider is asked: how often, about what, for how long, and for how many tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from langgraph_speculate.core import events
from langgraph_speculate.policy import Limits
from tests.sim.programs import Program
from tests.sim.side import Side
from tests.sim.verdicts import Mismatch

_EPSILON = 1e-6
_OTHERWISE = ("result", "messages")
"""Why a preview is wasted whose results came out otherwise."""


def too_often(plain: Side, early: Side) -> Iterator[Mismatch]:
    """A model's provider is asked as often as by the plain run, and once for each preview that nobody took."""
    asked, wanted = len(early.world.asked), len(plain.world.asked)
    wasted = sum(isinstance(event, events.PreviewWasted) for event in early.happened)
    if not wanted <= asked <= wanted + wasted:
        yield Mismatch("billed", "model", f"asked {asked} times, plain {wanted}, {wasted} wasted")


def in_vain_s(early: Side) -> float:
    """Seconds that real calls waited at most for previews that failed before they had written anything."""
    began = {event.preview: event.at for event in early.happened if isinstance(event, events.PreviewBegan)}
    failed = [e for e in early.happened if isinstance(e, events.PreviewWasted) and e.reason == "failed"]
    return sum(event.at - began[event.preview] for event in failed)


def broken_promises(program: Program, early: Side) -> Iterator[Mismatch]:
    """What a speculative side asked that it should not have."""
    yield from _beyond_the_budget(program, early)
    yield from _without_an_end(early)
    yield from _of_others(program, early)
    yield from _about_what_was_written(program, early)
    yield from _for_nobody(program, early)


def _beyond_the_budget(program: Program, early: Side) -> Iterator[Mismatch]:
    limit = Limits(**program.limits).max_wasted_tokens_per_run
    wasted: Counter[str] = Counter()
    for event in early.happened:
        if isinstance(event, events.PreviewWasted):
            wasted[event.run] += event.tokens
    for run, tokens in wasted.items():
        if tokens > limit:
            yield Mismatch("budget", run, f"{tokens} tokens wasted, {limit} allowed")


def _without_an_end(early: Side) -> Iterator[Mismatch]:
    """Each preview ends once, used or wasted."""
    ended = Counter(e.preview for e in early.happened if isinstance(e, events.PreviewUsed | events.PreviewWasted))
    begun = Counter(e.preview for e in early.happened if isinstance(e, events.PreviewBegan))
    if ended != begun:
        yield Mismatch("audit", "previews", f"begun {dict(begun)}, ended {dict(ended)}")


def _of_others(program: Program, early: Side) -> Iterator[Mismatch]:
    """Where users are kept apart, nothing of one is shown to the model in a conversation of another."""
    if "user_id" not in program.settings.get("partition_by", ()):
        return
    users = {visit.tag: visit.user for visit in program.visits}
    for request in early.world.asked:
        text = "\n".join(request.heard)
        for other in set(users.values()) - {users.get(request.tag)}:
            if f"{other}/" in text or f"{other} " in text:
                yield Mismatch("foreign", request.tag, f"the model was told of {other}")


def _about_what_was_written(program: Program, early: Side) -> Iterator[Mismatch]:
    """Nothing is bet on a result that a write of the same run has made old."""
    began = {event.preview: event.tools for event in early.happened if isinstance(event, events.PreviewBegan)}
    for event in early.happened:
        if isinstance(event, events.PreviewWasted) and event.reason in _OTHERWISE:
            tools = began[event.preview]
            if program.steady and set(tools) <= set(program.steady):
                yield Mismatch("stale", event.preview, f"it was bet on {tools}, which a write had changed")


def _for_nobody(program: Program, early: Side) -> Iterator[Mismatch]:
    """A request that nobody wants any more ends at once: besides real ones, no more are open than previews are."""
    if len(program.visits) > 1 or program.form.kind in ("sync_nodes", "parent"):
        return  # several at a time, or in threads, where a stream ends with its next piece
    changes: list[tuple[float, int, int]] = []
    for request in early.world.asked:
        changes.append((request.began, 1, 1))
        if request.ended is not None:
            changes.append((request.ended, 0, -1))
    for event in early.happened:
        if isinstance(event, events.PreviewBegan):
            changes.append((event.at, 0, -1))
        elif isinstance(event, events.PreviewUsed | events.PreviewWasted):
            changes.append((event.at, 2, 1))
    open_ = 0
    for at, _, change in sorted(changes):
        open_ += change
        if open_ > 1 and change > 0:
            yield Mismatch("leak", "model", f"{open_} requests too many are open at {at:g}")
            return
