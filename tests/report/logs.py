"""Runs as their events tell them, for reports to be made of; `audit` finds nothing wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.events import Event
from langgraph_speculate.observe.log import as_json

UNDECLARED = "declare [tools.look_up] read_only = true if it only reads"


class _Told:
    """Events of one run, numbered as they come."""

    def __init__(self, run: str, began: float) -> None:
        self.events: list[Event] = []
        self._run, self._began = run, began

    def at(self, moment: float, kind: type[Event], /, **facts: Any) -> None:
        number = len(self.events) + 1
        self.events.append(kind(run=self._run, at=self._began + moment, number=number, **facts))


def busy_run(run: str = "r", began: float = 100.0, tool: str = "get_order") -> list[Event]:
    """A run of 4.5 s: one call was ready, one was waited for, one guess was in vain, two tools were not allowed.

    Its steps would have waited 1 s and 1.5 s for their tools, and waited 0 s and 0.5 s: 2 s are hidden. In the second
    step two calls run side by side.
    """
    told, first, second, third = _Told(run, began), f"{run}:1", f"{run}:2", f"{run}:3"
    told.at(0, events.RunBegan, partition="p", world="w", max_in_flight=4, max_per_turn=3, max_per_run=60,
            max_wasted_per_run=20, wall=1_700_000_000.0, graph="shop", level="declared")  # fmt: skip
    told.at(0, events.TurnBegan, turn="t1", model="scripted")
    told.at(0, events.Predicted, turn="t1", candidates=((tool, 0.9, "memory"), ("search", 0.4, "user")))
    told.at(0, events.Launched, turn="t1", id=first, tool=tool, probability=0.9, source="memory")
    told.at(0, events.Launched, turn="t1", id=second, tool="search", probability=0.4, source="user")
    told.at(0, events.Denied, turn="t1", tool="open_return", reason="not_read_only", detail="tools.open_return says no")
    told.at(0, events.Refused, turn="t1", tool="search", reason="not_worth_it", count=2)
    told.at(1, events.Finished, id=first, tool=tool, seconds=1.0, ok=True)
    told.at(2, events.TurnEnded, turn="t1", calls=(tool,), foreseen=1)
    told.at(2, events.Discarded, id=second, tool="search", reason="contradicted")
    told.at(2, events.Matched, id=first, tool=tool, epoch=0, reads=())
    told.at(2, events.Committed, id=first, tool=tool)
    told.at(2, events.CallSettled, tool=tool, id=first, joined=False, waited_s=0.0, tool_s=1.0, call="c1", turn="t1")
    told.at(2, events.StepSettled, tool=tool, tool_s=1.0, waited_s=0.0)
    told.at(2, events.TurnBegan, turn="t2")
    told.at(2, events.Predicted, turn="t2", candidates=(("track", 0.8, "memory"),))
    told.at(2, events.Launched, turn="t2", id=third, tool="track", probability=0.8, source="memory", stage="name")
    told.at(2.5, events.Finished, id=second, tool="search", seconds=2.5, ok=True)
    told.at(2.5, events.Wasted, id=second, tool="search", seconds=2.5, cost=0.25)
    told.at(3, events.TurnEnded, turn="t2", calls=("track", tool), foreseen=1)
    told.at(3, events.Matched, id=third, tool="track", epoch=0, reads=())
    told.at(3.2, events.CallSettled, tool=tool, id=None, joined=False, waited_s=0.2, tool_s=0.2, call="c2", turn="t2")
    told.at(3.5, events.Finished, id=third, tool="track", seconds=1.5, ok=True)
    told.at(3.5, events.Committed, id=third, tool="track")
    told.at(
        3.5, events.CallSettled, tool="track", id=third, joined=True, waited_s=0.5, tool_s=1.5, call="c3", turn="t2"
    )
    told.at(3.5, events.StepSettled, tool="track", tool_s=1.5, waited_s=0.5)
    told.at(3.5, events.TurnBegan, turn="t3")
    told.at(3.5, events.Denied, turn="t3", tool="look_up", reason="undeclared", detail=UNDECLARED)
    told.at(4.5, events.TurnEnded, turn="t3", calls=(), foreseen=0)
    told.at(4.5, events.RunClosed, launched=3, hits=2, hidden_s=2.0)
    return told.events


def idle_run(run: str = "idle", began: float = 200.0) -> list[Event]:
    """A run of 2 s in which nothing ran ahead, at the level `shadow`: its call was foreseen."""
    told = _Told(run, began)
    told.at(0, events.RunBegan, partition="p", world="w", max_in_flight=4, max_per_turn=3, max_per_run=60,
            max_wasted_per_run=20, level="shadow")  # fmt: skip
    told.at(0, events.TurnBegan, turn="t1")
    told.at(0, events.Predicted, turn="t1", candidates=(("get_order", 0.9, "memory"),))
    told.at(0, events.Denied, turn="t1", tool="get_order", reason="shadow", detail="level is shadow")
    told.at(1, events.TurnEnded, turn="t1", calls=("get_order",), foreseen=1)
    told.at(2, events.CallSettled, tool="get_order", id=None, joined=False, waited_s=1.0, tool_s=1.0)
    told.at(2, events.StepSettled, tool="get_order", tool_s=1.0, waited_s=1.0)
    told.at(2, events.RunClosed, launched=0, hits=0, hidden_s=0.0)
    return told.events


def shadow_run(run: str = "s", began: float = 300.0, tool: str = "get_order") -> list[Event]:
    """A run of 4 s at the level `shadow`: of its tools' 1 s and 1 s, 1 s and 0.5 s would have been hidden.

    One call would have been ready, one waited for, one guess in vain for 0.5 s.
    """
    told, first, second, third = _Told(run, began), f"{run}:1", f"{run}:2", f"{run}:3"
    told.at(0, events.RunBegan, partition="p", world="w", max_in_flight=4, max_per_turn=3, max_per_run=60,
            max_wasted_per_run=20, wall=1_700_000_000.0, graph="shop", level="shadow")  # fmt: skip
    told.at(0, events.TurnBegan, turn="t1", model="scripted")
    told.at(0, events.Predicted, turn="t1", candidates=((tool, 0.9, "memory"), ("search", 0.4, "user")))
    told.at(0, events.ShadowLaunched, turn="t1", id=first, tool=tool, probability=0.9, source="memory")
    told.at(0, events.ShadowLaunched, turn="t1", id=second, tool="search", probability=0.4, source="user")
    told.at(1, events.TurnEnded, turn="t1", calls=(tool,), foreseen=1)
    told.at(1, events.ShadowWasted, id=second, tool="search", reason="contradicted", seconds=0.5, known=False)
    told.at(2, events.ShadowSettled, tool=tool, id=first, joined=False, waited_s=0.0, tool_s=1.0)
    told.at(2, events.CallSettled, tool=tool, id=None, joined=False, waited_s=1.0, tool_s=1.0)
    told.at(2, events.StepSettled, tool=tool, tool_s=1.0, waited_s=1.0)
    told.at(2, events.ShadowStepSettled, tool=tool, tool_s=1.0, waited_s=0.0)
    told.at(2, events.TurnBegan, turn="t2")
    told.at(2.5, events.ShadowLaunched, turn="t2", id=third, tool="track", probability=0.8, source="memory")
    told.at(3, events.TurnEnded, turn="t2", calls=("track",), foreseen=1)
    told.at(4, events.ShadowSettled, tool="track", id=third, joined=True, waited_s=0.5, tool_s=1.0)
    told.at(4, events.CallSettled, tool="track", id=None, joined=False, waited_s=1.0, tool_s=1.0)
    told.at(4, events.StepSettled, tool="track", tool_s=1.0, waited_s=1.0)
    told.at(4, events.ShadowStepSettled, tool="track", tool_s=1.0, waited_s=0.5)
    told.at(4, events.RunClosed, launched=0, hits=0, hidden_s=0.0)
    return told.events


def previewing_run(run: str = "p", began: float = 400.0) -> list[Event]:
    """A run of 4 s whose tool takes 1 s, three times: the model's next step began with it, was right, wrong, refused.

    The first was joined when 1 s of it had passed; the second stopped after 1 s, and 900 tokens.
    """
    told, right, wrong = _Told(run, began), f"{run}:p1", f"{run}:p2"
    waited = {"tool": "get_order", "tool_s": 1.0, "waited_s": 1.0}
    told.at(0, events.RunBegan, partition="p", world="w", max_in_flight=4, max_per_turn=3, max_per_run=60,
            max_wasted_per_run=20, level="declared")  # fmt: skip
    told.at(0, events.TurnBegan, turn="t1", model="gpt")
    told.at(0.2, events.TurnEnded, turn="t1", calls=("get_order",), foreseen=0)
    told.at(0.2, events.PreviewBegan, preview=right, model="gpt", probability=0.9, tools=("get_order",), tokens=1000)
    told.at(1.2, events.CallSettled, id=None, joined=False, **waited)
    told.at(1.2, events.StepSettled, **waited)
    told.at(1.2, events.TurnBegan, turn="t2", model="gpt")
    told.at(1.2, events.PreviewUsed, preview=right, model="gpt", joined=True, hidden_s=1.0)
    told.at(1.5, events.TurnEnded, turn="t2", calls=("get_order",), foreseen=0)
    told.at(1.5, events.PreviewBegan, preview=wrong, model="gpt", probability=0.8, tools=("get_order",), tokens=1100)
    told.at(2.5, events.PreviewWasted, preview=wrong, model="gpt", reason="result", tokens=900, cost=0.5)
    told.at(2.5, events.CallSettled, id=None, joined=False, **waited)
    told.at(2.5, events.StepSettled, **waited)
    told.at(2.5, events.TurnBegan, turn="t3", model="gpt")
    told.at(2.6, events.TurnEnded, turn="t3", calls=("get_order",), foreseen=0)
    told.at(2.6, events.PreviewRefused, model="gpt", reason="worth")
    told.at(3.6, events.CallSettled, id=None, joined=False, **waited)
    told.at(3.6, events.StepSettled, **waited)
    told.at(3.6, events.TurnBegan, turn="t4", model="gpt")
    told.at(4, events.TurnEnded, turn="t4", calls=(), foreseen=0)
    told.at(4, events.RunClosed, launched=0, hits=0, hidden_s=0.0)
    return told.events


def write(path: Path, happened: list[Event]) -> Path:
    """The events as a log."""
    path.write_text("".join(f"{json.dumps(as_json(event))}\n" for event in happened), "utf-8")
    return path
