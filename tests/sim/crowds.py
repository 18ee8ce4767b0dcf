"""The crowded zoo: programs whose runs share a pool of few slots, so that early bodies give theirs to real calls."""

from __future__ import annotations

from typing import Any

from tests.sim.graphs import Form
from tests.sim.programs import Draw, Ending, Program, Visit
from tests.sim.shapes import Zoo

ZOO = Zoo("crowds", 37)
shape = ZOO.shape


def _crowd(seed: int, draw: Draw, names: tuple[str, ...], flavour: str, **program: Any) -> Program:
    """Runs of several users who start at about the same time."""
    slots = draw.choice((2, 2, 3))
    pool = f"pool of {slots}"  # of the process, so one of other programs, too; all of those come to their ends
    visits = tuple(Visit(f"u{n}", f"u{n}", draw.script(names, turns=3), draw.choice((0.0, 0.01))) for n in range(4))
    said = {name: {"host": pool, "on_mispredict": "cancel"} for name in names}
    form = Form(draw.choice(("agent", "tool_node", "fan")), draw.tools(*names, flavour=flavour))
    settings = {"pools": {pool: slots}, "partition_by": ("user_id",)}
    return Program(seed, "", form, visits, modes=draw.modes(), said=said, settings=settings, **program)


@shape(weight=3)
def _reads(seed: int, draw: Draw) -> Program:
    return _crowd(seed, draw, ("get_item", "get_note", "get_any"), "async")


@shape(weight=2)
def _reads_and_writes(seed: int, draw: Draw) -> Program:
    return _crowd(seed, draw, ("get_item", "get_note", "set_item"), "async")


@shape()
def _bodies_that_cannot_be_stopped(seed: int, draw: Draw) -> Program:
    return _crowd(seed, draw, ("get_item", "get_note"), draw.choice(("sync", "both")))


@shape()
def _further_ahead(seed: int, draw: Draw) -> Program:
    return _crowd(seed, draw, ("get_item", "get_note"), "async", limits={"max_depth": 3})


@shape()
def _cancelled(seed: int, draw: Draw) -> Program:
    ending = Ending(draw.choice(("cancel", "timeout")), draw.random() / 4)
    return _crowd(seed, draw, ("get_item", "get_note"), "async", ending=ending)
