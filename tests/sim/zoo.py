"""The program zoo: what graphs, tools and callers do with each other, whether models stream or not."""

from __future__ import annotations

from typing import Any

from tests.sim.graphs import Form
from tests.sim.models import Ask, Turn
from tests.sim.programs import NEED_THEIR_CALL, Draw, Ending, Program, Visit
from tests.sim.shapes import Zoo
from tests.sim.tools import DECEPTIVE, HUGE, READS

ZOO = Zoo("plain", 13)
shape, program_of = ZOO.shape, ZOO.program_of
SHAPES, SILENT, KNOWN = ZOO.shapes, ZOO.silent, ZOO.known


def _declared(draw: Draw, names: tuple[str, ...], *middleware: str) -> dict[str, Any]:
    """Mostly the owner says that middleware lets calls through; else nothing may run ahead of it."""
    said = draw.random() < 0.8
    return {"settings": {"transparent": middleware}} if said else {"forbidden": names}


def _one(draw: Draw, tools: tuple[str, ...], most: int = 3, **settings: Any) -> tuple[Visit, ...]:
    return (Visit("u1", "u1", draw.script(tools, most, **settings)),)


# -- reads and writes ------------------------------------------------------------------------------------------------


@shape()
def _reads(seed: int, draw: Draw) -> Program:
    names = tuple(draw.sample(READS, 3))
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names), modes=draw.modes())


@shape(weight=2)
def _reads_and_writes(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "list_items", "set_item", "set_note", "clear_items")
    draw.ids = draw.choice(((0, 1), draw.ids))
    kind = draw.choice(("agent", "agent", "react", "tool_node", "hand_written", "fan"))
    visits = _one(draw, names, turns=draw.choice((3, 4, 5)))
    return Program(seed, "", Form(kind, draw.tools(*names, flavour=draw.flavour())), visits, modes=draw.modes())


@shape(weight=2)
def _write_during_read(seed: int, draw: Draw) -> Program:
    names = ("get_item", "list_items", "set_item")
    kind = draw.choice(("agent", "tool_node"))
    draw.ids = (0, 1)
    visits = _one(draw, names, turns=2, racy=True)
    return Program(seed, "", Form(kind, draw.tools(*names, flavour=draw.flavour())), visits, racy=True)


@shape(weight=5)
def _two_runs_of_one_user(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_item", "get_note", "list_items", "set_item", "set_item", "set_note")
    draw.ids = (0,) if draw.random() < 0.7 else (0, 1)
    visits = tuple(
        Visit(f"u1{mark}", "u1", draw.script(names, 2, turns=3), draw.choice((0.0, 0.0, 0.03, 0.1))) for mark in "ab"
    )
    names = tuple(dict.fromkeys(names))
    return Program(seed, "", Form("agent", draw.tools(*names, flavour=draw.flavour())), visits, racy=True)


@shape()
def _many_users(seed: int, draw: Draw) -> Program:
    names = ("get_item", "list_items", "get_note", "set_item")
    count = draw.choice((2, 2, 3, 4))
    same = draw.script(names, turns=2)
    visits = tuple(
        Visit(f"u{n}", f"u{n}", same if draw.random() < 0.5 else draw.script(names, turns=2), draw.choice((0.0, 0.02)))
        for n in range(count)
    )
    settings = {"partition_by": ("user_id",)} if draw.random() < 0.8 else {}
    return Program(seed, "", Form("agent", draw.tools(*names)), visits, modes=draw.modes(), settings=settings)


@shape()
def _duplicates(seed: int, draw: Draw) -> Program:
    names = ("get_item", "draw", "find")
    ask = draw.ask(draw.choice(names))
    visits = (Visit("u1", "u1", (Turn((ask,) * draw.choice((2, 3)), 0.05), *draw.script(names))),)
    return Program(seed, "", Form(draw.choice(("agent", "tool_node")), draw.tools(*names)), visits, modes=draw.modes())


@shape()
def _nondeterministic(seed: int, draw: Draw) -> Program:
    names = ("draw", "get_item")
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names), modes=draw.modes())


@shape(weight=2)
def _volatile(seed: int, draw: Draw) -> Program:
    names = ("ticks", "ticks_on")
    draw.ids = (0, 1)
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names, 2, turns=4))


@shape()
def _typed_arguments(seed: int, draw: Draw) -> Program:
    names = ("echo", "get_item")
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names, turns=3), modes=draw.modes())


@shape()
def _huge_results(seed: int, draw: Draw) -> Program:
    names = ("big", "get_item")
    limits = {"max_result_bytes": HUGE // 2}
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names), limits=limits)


@shape()
def _shared_results(seed: int, draw: Draw) -> Program:
    names = ("blocks", "artifact", "get_item")
    form = Form("agent", draw.tools(*names), (("lists",),))
    around = _declared(draw, names, "Lists")
    return Program(seed, "", form, _one(draw, names, turns=3), modes=draw.modes("values"), **around)


# -- errors ----------------------------------------------------------------------------------------------------------


@shape()
def _handled_errors(seed: int, draw: Draw) -> Program:
    names = ("risky", "get_item")
    kind = draw.choice(("agent", "tool_node"))
    return Program(seed, "", Form(kind, draw.tools(*names)), _one(draw, names), modes=draw.modes())


def _breaking(draw: Draw, most: int) -> tuple[Visit, ...]:
    script = draw.script(("risky", "get_item"), most, turns=2)
    broken = Turn(tuple(Ask("risky", {"id": n, "how": "value"}) for n in range(draw.choice((1, most)))), draw.pace())
    return (Visit("u1", "u1", (*script[:-1], broken, script[-1])),)


@shape()
def _unhandled_error(seed: int, draw: Draw) -> Program:
    form = Form("agent", draw.tools("risky", "get_item"))
    return Program(seed, "", form, _breaking(draw, 1), modes=draw.modes())


@shape()
def _unhandled_errors_in_parallel(seed: int, draw: Draw) -> Program:
    kind = draw.choice(("agent", "tool_node"))
    form = Form(kind, draw.tools("risky", "get_item"), settings=(("handled", False),) if kind == "tool_node" else ())
    return Program(seed, "", form, _breaking(draw, 3), racy=True)


@shape()
def _faulty_attempts(seed: int, draw: Draw) -> Program:
    names = ("flaky", "get_item")
    faults = {"flaky": draw.choice(("raise", "base", "hang", "late", "huge"))}
    limits = {"max_result_bytes": HUGE // 2, "attempt_timeout_s": draw.choice((0.2, 1.0, 3.0))}
    form = Form("agent", draw.tools(*names))
    return Program(seed, "", form, _one(draw, names), modes=draw.modes(), limits=limits, faults=faults)


@shape()
def _hanging(seed: int, draw: Draw) -> Program:
    names = ("stall", "get_item")
    form = Form("agent", draw.tools(*names))
    ending = Ending("limit", 40.0)
    return Program(seed, "", form, _one(draw, names), modes=draw.modes(), ending=ending)


@shape()
def _failing_model(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "find")
    script = draw.script(names, turns=2)
    visits = (Visit("u1", "u1", (*script[:-1], Turn((), draw.pace(), fails=True))),)
    return Program(seed, "", Form("agent", draw.tools(*names)), visits, modes=draw.modes())


@shape()
def _invalid_calls(seed: int, draw: Draw) -> Program:
    names = ("get_item", "find")
    wrong = (Ask("get_item", {"id": "many"}), Ask("get_item", {}), Ask("no_such_tool", {"id": 1}), draw.ask("find"))
    script = draw.script(names, turns=1)
    visits = (Visit("u1", "u1", (Turn(tuple(draw.sample(wrong, 2)), 0.05), *script)),)
    kind = draw.choice(("agent", "tool_node"))
    return Program(seed, "", Form(kind, draw.tools(*names)), visits, modes=draw.modes())


# -- tools that are special ------------------------------------------------------------------------------------------


@shape(may_speculate=False)
def _deceptive(seed: int, draw: Draw) -> Program:
    names = (*DECEPTIVE, "import_data", "open_page")
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names), modes=draw.modes())


@shape(weight=2)
def _undeclared_beside_reads(seed: int, draw: Draw) -> Program:
    names = ("import_data", "get_item", "get_note", "lease")
    draw.ids = (0, 1)
    return Program(seed, "", Form("agent", draw.tools(*names)), _one(draw, names, turns=4), modes=draw.modes())


@shape()
def _commands(seed: int, draw: Draw) -> Program:
    names = ("command", "get_item", "commands") if draw.random() < 0.3 else ("command", "get_item")
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    return Program(seed, "", form, _one(draw, names, 1), modes=draw.modes(), forbidden=("command",))


@shape()
def _return_direct(seed: int, draw: Draw) -> Program:
    names = ("direct", "get_item")
    form = Form("agent", draw.tools(*names))
    return Program(seed, "", form, _one(draw, names, turns=3), modes=draw.modes(), forbidden=("direct",))


@shape()
def _injected(seed: int, draw: Draw) -> Program:
    hidden = ("of_state", "of_store", "of_runtime", "of_call")
    names = (*draw.sample(hidden, 2), "get_item")
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    visits = _one(draw, names)
    forbidden = tuple(name for name in hidden if name not in NEED_THEIR_CALL)
    return Program(seed, "", form, visits, modes=draw.modes(), forbidden=forbidden, checkpointed=True)


@shape()
def _declared_state(seed: int, draw: Draw) -> Program:
    names = ("of_mood", "set_mood", "get_item")
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names), settings=(("moody", True),))
    visits = (Visit("u1", "u1", draw.script(names, turns=4), inputs=draw.choice((1, 2))),)
    return Program(seed, "", form, visits, modes=draw.modes(), forbidden=("set_mood",), checkpointed=True)


@shape()
def _telling(seed: int, draw: Draw) -> Program:
    names = ("tells", "whoami", "get_item")
    form = Form(draw.choice(("agent", "tool_node", "fan")), draw.tools(*names))
    return Program(seed, "", form, _one(draw, names), modes=draw.modes("custom"))


@shape()
def _context_variables(seed: int, draw: Draw) -> Program:
    names = ("tenant", "get_item")
    form = Form("agent", draw.tools(*names))
    visits = tuple(Visit(f"u{n}", f"u{n}", draw.script(names, turns=2)) for n in range(draw.choice((1, 2))))
    listed = draw.random() < 0.6
    return Program(
        seed,
        "",
        form,
        visits,
        modes=draw.modes(),
        settings={"partition_by": ("user_id",)},
        propagates=listed,
        forbidden=() if listed else ("tenant",),
    )


# -- graphs ----------------------------------------------------------------------------------------------------------


@shape()
def _sync_tools(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item", "set_note")
    kind = draw.choice(("agent", "tool_node", "hand_written"))
    return Program(seed, "", Form(kind, draw.tools(*names, flavour="sync")), _one(draw, names), modes=draw.modes())


@shape()
def _sync_nodes(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item")
    form = Form("sync_nodes", draw.tools(*names, flavour=draw.choice(("sync", "both"))))
    return Program(seed, "", form, _one(draw, names), modes=draw.modes())


@shape()
def _fanned_out(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item", "draw")
    return Program(seed, "", Form("fan", draw.tools(*names)), _one(draw, names), modes=draw.modes())


@shape()
def _subgraph(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item")
    form = Form("parent", draw.tools(*names))
    visits = _one(draw, names)
    return Program(seed, "", form, visits, modes=draw.modes("updates"), subgraphs=draw.random() < 0.5)


@shape()
def _changed_config(seed: int, draw: Draw) -> Program:
    names = ("whoami", "get_item")
    visits = _one(draw, names, turns=3)
    return Program(seed, "", Form("retagging", draw.tools(*names)), visits, modes=draw.modes())


@shape()
def _structured_output(seed: int, draw: Draw) -> Program:
    names = ("get_item", "find")
    answer = Turn((Ask("Verdict", {"score": draw.choice((1, 2, "x"))}),), draw.pace())
    script = draw.script(names)
    form = Form("agent", draw.tools(*names), settings=(("structured", True),))
    visits = (Visit("u1", "u1", (*script[:-1], answer, Turn((Ask("Verdict", {"score": 3}),)))),)
    return Program(seed, "", form, visits, modes=draw.modes())


# -- what stands before tools ----------------------------------------------------------------------------------------


def _approved(seed: int, draw: Draw, mode: str, sometimes: bool) -> Program:
    gated = tuple(draw.sample(("get_item", "set_item", "get_note"), draw.choice((1, 2))))
    names = ("get_item", "set_item", "get_note", "find")
    around = [("approval", mode, gated, sometimes)]
    settings: dict[str, Any] = {}
    if draw.random() < 0.4:
        around.insert(draw.randrange(2), draw.choice((("rewrite",), ("tool_limit", None, 3, "continue"))))
        settings = {"transparent": ("Rewrite",)} if ("rewrite",) in around else {}
    form = Form("agent", draw.tools(*names), tuple(around))
    visits = _one(draw, names, turns=2)
    return Program(seed, "", form, visits, modes=draw.modes(), forbidden=gated, checkpointed=True, settings=settings)


@shape()
def _approval_batched(seed: int, draw: Draw) -> Program:
    return _approved(seed, draw, "batched", False)


@shape()
def _approval_per_call(seed: int, draw: Draw) -> Program:
    return _approved(seed, draw, "per_call", False)


@shape()
def _approval_sometimes(seed: int, draw: Draw) -> Program:
    return _approved(seed, draw, draw.choice(("batched", "per_call")), True)


@shape(may_speculate=False)
def _static_interrupt(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item")
    stops = {draw.choice(("interrupt_before", "interrupt_after")): ("tools",)}
    if "interrupt_after" in stops:
        stops = {"interrupt_after": ("model",)}
    at_call = draw.random() < 0.5
    form = Form("agent", draw.tools(*names), settings=() if at_call else tuple(stops.items()))
    visits = _one(draw, names, turns=2)
    return Program(
        seed, "", form, visits, modes=draw.modes(), forbidden=names, checkpointed=True, stops=stops if at_call else {}
    )


@shape()
def _asking_tools(seed: int, draw: Draw) -> Program:
    names = ("asks", "asks_quietly", "get_item")
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    # A ToolNode that is interrupted leaves its other calls running; which of them still report is a race.
    racy = form.kind == "tool_node"
    return Program(seed, "", form, _one(draw, names, turns=2), modes=draw.modes(), checkpointed=True, racy=racy)


@shape()
def _tool_limits(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item")
    named = draw.choice((None, None, "get_item"))
    limit = ("tool_limit", named, draw.randrange(6), draw.choice(("continue", "continue", "end", "error")))
    form = Form("agent", draw.tools(*names), (limit,))
    said = {named: draw.randrange(5)} if named is not None and draw.random() < 0.7 else {}
    return Program(
        seed,
        "",
        form,
        # A limit that ends the run refuses other calls of the same message; LangChain allows that for one tool only.
        _one(draw, names, 1 if limit[3] == "end" else 3, turns=4),
        modes=draw.modes(),
        early_limits=said,
        forbidden=() if named is None or said else (named,),
    )


@shape()
def _model_limits(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item")
    form = Form("agent", draw.tools(*names), (("model_limit", draw.randrange(1, 5), draw.choice(("end", "error"))),))
    return Program(seed, "", form, _one(draw, names, turns=4), modes=draw.modes())


@shape()
def _rewritten_arguments(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item")
    form = Form("agent", draw.tools(*names, flavour="async"), (("rewrite",),))
    around = _declared(draw, names, "Rewrite")
    return Program(seed, "", form, _one(draw, names, 1, turns=3), modes=draw.modes(), **around)


@shape()
def _guarded(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item")
    form = Form("agent", draw.tools(*names), (("guard", ("u1",)),))
    visits = tuple(Visit(f"u{n}", f"u{n}", draw.script(names, turns=2)) for n in range(2))
    settings = {"partition_by": ("user_id",), "transparent": ("Guard",)}
    return Program(
        seed, "", form, visits, modes=draw.modes(), settings=settings, denied=("u1",), guards=draw.random() < 0.7
    )


@shape()
def _revoked(seed: int, draw: Draw) -> Program:
    names = ("secret", "get_item")
    script = (Turn((draw.ask("secret"),), 0.1), *draw.script(names, turns=2))
    visits = (Visit("u1", "u1", script),)
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    revoked = {"u1": draw.choice((0.01, 0.05, 0.09))}
    return Program(seed, "", form, visits, modes=draw.modes(), revoked=revoked, guards=True)


@shape(may_speculate=False)
def _bounded(seed: int, draw: Draw) -> Program:
    names = ("get_item", "find", "set_item")
    form = Form(draw.choice(("agent", "tool_node", "fan")), draw.tools(*names))
    config = {"max_concurrency": draw.randrange(1, 4)}
    return Program(seed, "", form, _one(draw, names), modes=draw.modes(), forbidden=names, config=config)


@shape()
def _node_between(seed: int, draw: Draw) -> Program:
    names = ("get_item", "find", "set_item")
    settings: dict[str, Any] = {"approval_gated": ()} if draw.random() < 0.7 else {}
    visits = _one(draw, names)
    form = Form("between", draw.tools(*names))
    return Program(seed, "", form, visits, modes=draw.modes(), settings=settings, forbidden=() if settings else names)


# -- how runs go on and end ------------------------------------------------------------------------------------------


@shape()
def _resumed(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note")
    script = (*draw.script(names, turns=1), *draw.script(names, turns=2))
    visits = (Visit("u1", "u1", script, inputs=2),)
    return Program(seed, "", Form("agent", draw.tools(*names)), visits, modes=draw.modes(), checkpointed=True)


@shape()
def _forked(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note", "set_note")
    visits = (Visit("u1", "u1", draw.script(names, turns=3), then=draw.choice(("fork", "rewrite"))),)
    return Program(seed, "", Form("agent", draw.tools(*names)), visits, modes=draw.modes(), checkpointed=True)


@shape()
def _cancelled(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note")
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    ending = Ending("cancel", draw.choice((0.0, 0.02, 0.05, 0.07, 0.1, draw.random() / 2)))
    return Program(seed, "", form, _one(draw, names, 2, turns=3), modes=draw.modes(), ending=ending)


@shape()
def _timed_out(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note")
    ending = Ending("timeout", draw.choice((0.05, 0.1, draw.random() / 2)))
    form = Form("agent", draw.tools(*names))
    return Program(seed, "", form, _one(draw, names, 2, turns=3), modes=draw.modes(), ending=ending)


@shape()
def _broken_off(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note")
    form = Form("agent", draw.tools(*names))
    ending = Ending("break", draw.randrange(1, 6))
    return Program(seed, "", form, _one(draw, names, 1, turns=3), modes=draw.modes("updates"), ending=ending)
