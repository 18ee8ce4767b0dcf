"""Made-up runs that look like those of support agents, the same for the same seed, as many as are wanted."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from benchmarks.traces import Run

_NAMES = ("mia", "raj", "ann", "omar", "yuki", "lena", "ivan", "sara", "noah", "chen", "rosa", "finn")
_ISSUES = (
    "It arrived broken.",
    "I never got it.",
    "I ordered the wrong size.",
    "Where is it?",
    "I want my money back.",
)
_REASONS = ("damaged", "not delivered", "ordered by mistake", "no longer needed")
_STATES = ("pending", "processed", "delivered", "cancelled")
_VERBS = ("list", "get", "check", "track", "search", "read", "count", "compare", "estimate", "verify")
_NOUNS = 30
TOOLS = len(_VERBS) * _NOUNS
"""Tools of `long_runs`."""


class _Talk:
    """The events of one run while it is made up."""

    def __init__(self, number: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._ids = (f"call_{number}_{place}" for place in count())

    def user(self, text: str) -> None:
        self.events.append({"role": "user", "content": text})

    def says(self, text: str) -> None:
        self.events.append({"role": "assistant", "content": text})

    def calls(self, name: str, args: Mapping[str, Any], result: Any) -> None:
        made = [{"id": next(self._ids), "name": name, "args": dict(args)}]
        self.events.append({"role": "assistant", "content": "", "tool_calls": made})
        self.events.append({"role": "tool", "tool_call_id": made[0]["id"], "content": json.dumps(result)})


def runs(seed: int, looks: tuple[int, int] = (1, 3)) -> Iterator[Run]:
    """Short runs without end: who is it, which orders are there, look at some, do something about one.

    Args:
        seed: Draws them.
        looks: At how many orders, least and most.
    """
    least, most = looks
    draw = random.Random(seed)
    for number in count():
        talk = _Talk(number)
        user = f"{draw.choice(_NAMES)}_{draw.choice(_NAMES)}_{draw.randrange(10_000):04}"
        orders = [f"#W{draw.randrange(10_000_000):07}" for _ in range(draw.randint(least, most + 1))]
        talk.user(f"Hello, my user id is {user}. {draw.choice(_ISSUES)}")
        talk.calls("get_user", {"user_id": user}, _user(draw, user, orders))
        order = {}
        for order_id in orders[: draw.randint(least, most)]:
            order = _order(draw, order_id, user)
            talk.calls("get_order", {"order_id": order_id}, order)
        if draw.random() < 0.4:
            product = order["items"][0]["product_id"]
            talk.calls("get_product", {"product_id": product}, {"product_id": product, "stock": draw.randrange(50)})
        if draw.random() < 0.3:
            talk.calls("track", {"tracking_id": order["tracking_id"]}, {"place": "depot", "late": draw.random() < 0.5})
        talk.says("Shall I take it back?")
        talk.user(draw.choice(("Yes, please.", "Yes.", "Please do, and thank you!")))
        reason = {"order_id": order["order_id"], "reason": draw.choice(_REASONS)}
        talk.calls(draw.choice(("return_order", "cancel_order")), reason, {"done": True})
        talk.says("Done.")
        yield Run(f"support-{number}", f"task-{number}", talk.events)


def long_runs(seed: int) -> Iterator[Run]:
    """Runs of 47 messages over 300 tools, without end: areas in some order, a few lookups in each."""
    draw = random.Random(seed)
    for number in count():
        talk = _Talk(number)
        user = f"{draw.choice(_NAMES)}_{draw.randrange(10_000):04}"
        talk.user(f"I am {user}, please look everything up.")
        area = draw.randrange(_NOUNS)
        while len(talk.events) < 45:
            found = [f"{area}-{draw.randrange(1_000_000):06}" for _ in range(4)]
            rows = [{"id": one, "state": draw.choice(_STATES), "total": draw.randrange(500)} for one in found]
            talk.calls(f"list_{area}", {"user_id": user}, {"rows": rows})
            for one in found[: draw.randint(2, 4)]:
                verb = draw.choice(_VERBS[1:])
                talk.calls(f"{verb}_{area}", {"id": one}, {"id": one, "note": draw.choice(_REASONS), "parts": [1, 2]})
            area = (area + draw.choice((1, 1, 1, 7))) % _NOUNS
        del talk.events[45:]
        talk.says("That is all.")
        yield Run(f"long-{number}", f"task-{number}", talk.events)


def _user(draw: random.Random, user: str, orders: list[str]) -> dict[str, Any]:
    first, last, number = user.split("_")
    return {
        "user_id": user,
        "name": {"first": first.title(), "last": last.title()},
        "email": f"{first}.{last}{number}@example.com",
        "address": {"street": f"{draw.randrange(900)} Oak Street", "zip": f"{draw.randrange(100_000):05}"},
        "payment_methods": {f"card_{draw.randrange(10_000_000)}": {"kind": "card"}},
        "orders": orders,
    }


def _order(draw: random.Random, order_id: str, user: str) -> dict[str, Any]:
    items = [
        {"product_id": f"{draw.randrange(10**10):010}", "name": draw.choice(("Lamp", "Desk", "Mug")), "price": 9.5}
        for _ in range(draw.randint(1, 3))
    ]
    tracking = f"{draw.randrange(10**12):012}"
    return {
        "order_id": order_id,
        "user_id": user,
        "status": draw.choice(_STATES),
        "items": items,
        "tracking_id": tracking,
    }
