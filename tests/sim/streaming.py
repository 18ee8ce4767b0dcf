"""The streaming zoo: programs whose model streams, in the ways that providers have, up to the end or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.sim.graphs import Form
from tests.sim.models import Ask, Script, Turn
from tests.sim.programs import MODES, Draw, Ending, Program, Visit
from tests.sim.shapes import Shape, Zoo
from tests.sim.streams import CUT_SHORT, PLAIN_SHAPES, Stream
from tests.sim.zoo import SHAPES, SILENT

ZOO = Zoo("streaming", 17, (*MODES, "several"))
shape = ZOO.shape
AGAIN = (
    "reads",
    "reads_and_writes",
    "write_during_read",
    "two_runs_of_one_user",
    "many_users",
    "nondeterministic",
    "volatile",
    "typed_arguments",
    "handled_errors",
    "unhandled_error",
    "faulty_attempts",
    "failing_model",
    "invalid_calls",
    "undeclared_beside_reads",
    "commands",
    "return_direct",
    "injected",
    "declared_state",
    "telling",
    "context_variables",
    "sync_tools",
    "sync_nodes",
    "fanned_out",
    "subgraph",
    "changed_config",
    "structured_output",
    "approval_batched",
    "approval_per_call",
    "approval_sometimes",
    "static_interrupt",
    "asking_tools",
    "tool_limits",
    "model_limits",
    "rewritten_arguments",
    "guarded",
    "revoked",
    "bounded",
    "node_between",
    "forked",
)
"""Shapes of the other zoo that occur here too, streamed."""
_PACES = (0.05, 0.1, 0.2, 0.4)
_LOOKS_ON = ("messages", "tools")
"""Stream modes in which a model streams that otherwise would not."""
_MODES = ("messages", "messages", "tools", "values", "updates", "custom", "tasks")


def _streamed(draw: Draw, script: Script, *shapes: str, slow: bool = False) -> Script:
    """A script, every answer of it streamed as one provider does."""
    kind = draw.choice(shapes or PLAIN_SHAPES)
    return tuple(
        replace(turn, pace_s=draw.choice(_PACES) if slow else turn.pace_s, stream=Stream(draw.randrange(1 << 30), kind))
        for turn in script
    )


def _with_ending(script: Script, number: int, ending: str) -> Script:
    """A script of which one answer ends in some other way."""
    stream = script[number].stream or Stream(0)
    return _put(script, number, replace(script[number], stream=replace(stream, ending=ending)))


def _put(script: Script, number: int, turn: Turn) -> Script:
    return (*script[:number], turn, *script[number + 1 :])


def _modes(draw: Draw, model: str) -> tuple[str, ...]:
    """Which streams the caller wants; of some models they decide whether it streams."""
    some = tuple(dict.fromkeys(draw.sample(_MODES, draw.choice((1, 1, 2, 3)))))
    if model == "zoo":
        return some if set(some) & set(_LOOKS_ON) else (*some, draw.choice(_LOOKS_ON))
    return some if draw.random() < 0.6 else ()


def _form(
    draw: Draw,
    kind: str,
    names: tuple[str, ...],
    middleware: tuple[tuple[Any, ...], ...] = (),
    model: str = "",
    flavour: str = "",
) -> Form:
    model = model or draw.choice(("streaming", "streaming", "zoo", "zoo", "v1"))
    tools = draw.tools(*names, flavour=flavour or None)
    return Form(kind, tools, middleware, model=model)


def _program(seed: int, draw: Draw, form: Form, script: Script, inputs: int = 1, **settings: Any) -> Program:
    visits = (Visit("u1", "u1", script, inputs=inputs),)
    return Program(seed, "", form, visits, modes=_modes(draw, form.model), **settings)


def _details(draw: Draw) -> None:
    """Arguments of which one may begin like another, with all that JSON escapes."""
    draw.ids = draw.choice(((1, 12, 123), (0, 1, 12), (1, 12, "1", 1.0)))
    draw.words = ("a", "ab", "abc", 'a"b', "é", "a\\", "ab\n", "😀")
    draw.marks = ("", ' "quoted"', "\\n", "é😀", "\t{1}")


# -- what the model says, piece by piece -----------------------------------------------------------------------------


@shape(weight=3)
def _alike_at_first(seed: int, draw: Draw) -> Program:
    """Calls of which one begins as another ends."""
    _details(draw)
    names = ("get_item", "find", "get_note", "set_item")
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    return _program(seed, draw, form, _streamed(draw, draw.script(names, turns=2), slow=True))


@shape(weight=3)
def _all_kinds_of_graphs(seed: int, draw: Draw) -> Program:
    _details(draw)
    names = ("get_item", "get_note", "list_items", "set_item", "set_note", "clear_items")
    kind = draw.choice(("agent", "react", "tool_node", "hand_written", "fan", "sync_nodes", "parent"))
    form = _form(draw, kind, names, flavour="both" if kind == "sync_nodes" else "")
    return _program(seed, draw, form, _streamed(draw, draw.script(names, turns=3)))


@shape(weight=2)
def _pieces_in_turn(seed: int, draw: Draw) -> Program:
    """Several calls at once, their pieces interleaved or all in one chunk; with no argument, one, or two."""
    _details(draw)
    names = ("get_item", "find", "risky", "list_items")
    turns = [Turn(tuple(draw.ask(draw.choice(names)) for _ in range(draw.choice((2, 3))))) for _ in range(2)]
    form = _form(draw, draw.choice(("agent", "tool_node", "fan")), names)
    return _program(seed, draw, form, _streamed(draw, (*turns, Turn()), "interleaved", "together", slow=True))


@shape(weight=2)
def _slow_among_fast(seed: int, draw: Draw) -> Program:
    """A slow tool first, or last."""
    asks = [draw.ask("dig"), *(draw.ask(draw.choice(("get_item", "find"))) for _ in range(draw.choice((1, 2))))]
    turn = Turn(tuple(asks if draw.random() < 0.5 else asks[::-1]))
    form = _form(draw, draw.choice(("agent", "tool_node", "hand_written")), ("dig", "get_item", "find"))
    return _program(seed, draw, form, _streamed(draw, (turn, Turn(turn.asks[:1]), Turn()), slow=True))


@shape(weight=3)
def _same_call_twice(seed: int, draw: Draw) -> Program:
    """Two calls of one message are alike but for their ids, of which either may be complete first."""
    names = ("get_item", "draw", "of_call")
    ask = draw.ask(draw.choice(("get_item", "draw", "of_call", "of_call")))
    other = draw.ask(draw.choice(names))
    turn = Turn(tuple(draw.sample((ask, ask, *((other,) if draw.random() < 0.5 else ())), 2)))
    form = _form(draw, draw.choice(("agent", "tool_node", "hand_written")), names)
    shapes = draw.choice((PLAIN_SHAPES, ("interleaved",)))
    return _program(seed, draw, form, _streamed(draw, (Turn((ask, ask)), turn, Turn()), *shapes, slow=True))


@shape(weight=3)
def _one_after_the_other(seed: int, draw: Draw) -> Program:
    """A write between two reads of the same thing, all in one message, by a node that goes through the calls."""
    draw.ids = (0, 1)
    id, text = draw.choice(draw.ids), f"t{draw.randrange(100)}"
    read, write = Ask("get_item", {"id": id}), Ask("set_item", {"id": id, "text": text})
    asks = draw.choice(((read, write, read), (write, read), (Ask("list_items", {}), write, read), (read, read, write)))
    names = ("get_item", "set_item", "list_items")
    kind = draw.choice(("hand_written", "sync_nodes"))
    form = _form(draw, kind, names, flavour="both")
    script = (Turn(asks), *draw.script(names, turns=1))
    return _program(seed, draw, form, _streamed(draw, script, slow=True))


@shape(weight=3)
def _calls_that_know_themselves(seed: int, draw: Draw) -> Program:
    """Tools that are given the id of their call, and tools that answer with a command."""
    names = ("of_call", "look_up", "get_item", "set_item")
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    return _program(seed, draw, form, _streamed(draw, draw.script(names, turns=3), slow=True))


@shape(weight=2)
def _idle_talk(seed: int, draw: Draw) -> Program:
    """Much is named, little is called."""
    _details(draw)
    names = ("get_item", "get_note", "set_item", "find")
    script = (Turn(), *draw.script(names, 1, turns=1), Turn((draw.ask("get_item"),)), Turn())
    return _program(
        seed, draw, _form(draw, "agent", names), _streamed(draw, script, slow=True), inputs=2, checkpointed=True
    )


@shape()
def _never_streamed(seed: int, draw: Draw) -> Program:
    """A model of which its owner says that it must not stream."""
    names = ("get_item", "set_item", "find")
    form = _form(draw, "agent", names, model="whole")
    return _program(seed, draw, form, _streamed(draw, draw.script(names, turns=2)))


# -- messages that break ---------------------------------------------------------------------------------------------


def _broken(draw: Draw, names: tuple[str, ...], endings: tuple[str, ...], *shapes: str) -> Script:
    """Some answers, of which one with calls breaks; others follow, whether the run goes on or not."""
    _details(draw)
    script = draw.script(names, 2, turns=2)
    number = draw.choice((0, 0, 1))
    return _with_ending(_streamed(draw, script, *shapes, slow=True), number, draw.choice(endings))


@shape(weight=4)
def _cut_short(seed: int, draw: Draw) -> Program:
    names = ("get_item", "find", "set_item", "get_note")
    form = _form(draw, draw.choice(("agent", "tool_node", "hand_written")), names)
    return _program(seed, draw, form, _broken(draw, names, CUT_SHORT), inputs=2, checkpointed=True)


@shape(weight=2)
def _cut_short_and_known(seed: int, draw: Draw) -> Program:
    """Cut short, with tools that would start with their own ids."""
    names = ("of_call", "look_up", "get_item")
    return _program(seed, draw, _form(draw, "agent", names), _broken(draw, names, CUT_SHORT))


@shape(weight=2)
def _broken_stream(seed: int, draw: Draw) -> Program:
    names = ("get_item", "find", "set_item")
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    return _program(seed, draw, form, _broken(draw, names, ("raises",)))


@shape(weight=3)
def _tried_again(seed: int, draw: Draw) -> Program:
    """A stream breaks, and the model is asked again, or another one."""
    names = ("get_item", "find", "set_item", "of_call")
    if draw.random() < 0.5:
        form = _form(draw, "agent", names, ((draw.choice(("retry", "fallback")),),))
    else:
        form = _form(draw, draw.choice(("tool_node", "hand_written")), names, model="")
        form = replace(form, model=draw.choice(("retried", "falling_back")))
    return _program(seed, draw, form, _broken(draw, names, ("raises",)))


@shape(weight=3)
def _taken_back(seed: int, draw: Draw) -> Program:
    """Arguments that were complete begin anew."""
    names = ("get_item", "find", "get_note", "set_item")
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    script = _broken(draw, names, ("whole", "whole", "length"), "revised")
    return _program(seed, draw, form, script)


@shape(weight=2)
def _said_twice(seed: int, draw: Draw) -> Program:
    """Chunks that repeat what others said."""
    names = ("get_item", "find", "get_note")
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    return _program(seed, draw, form, _broken(draw, names, ("whole",), "repeated", "cumulative"))


@shape(weight=2)
def _garbled(seed: int, draw: Draw) -> Program:
    """Arguments that are no JSON, arguments that do not fit, tools that do not exist."""
    names = ("get_item", "find", "set_item")
    wrong = (Ask("get_item", {"id": "many"}), Ask("no_such_tool", {"id": 1}), Ask("get_item", {}), draw.ask("find"))
    script = _streamed(draw, (Turn(tuple(draw.sample(wrong, 2))), *draw.script(names, 2, turns=1)), slow=True)
    number = draw.randrange(2)
    stream = script[number].stream or Stream(0)
    script = _put(script, number, replace(script[number], stream=replace(stream, garbled=True)))
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    return _program(seed, draw, form, script, inputs=2, checkpointed=True)


# -- what stands between model and tools -----------------------------------------------------------------------------


@shape(weight=2)
def _rewritten_calls(seed: int, draw: Draw) -> Program:
    """Middleware changes the message after it was streamed."""
    names = ("get_item", "get_note", "set_item", "of_call")
    said = draw.random() < 0.7
    settings: dict[str, Any] = {"settings": {"transparent": ("Recalls",)}} if said else {"forbidden": names}
    form = _form(draw, "agent", names, (("recalls",),))
    draw.ids = (1, 2, 3)  # one call becomes what another was
    script = draw.script((*names, "of_call", "of_call"), turns=2)
    return _program(seed, draw, form, _streamed(draw, script, slow=True), **settings)


@shape(weight=2)
def _approved_or_cut_short(seed: int, draw: Draw) -> Program:
    """A person is asked about calls of messages that may be cut short."""
    names = ("get_item", "set_item", "of_call", "find")
    gated = tuple(draw.sample(("get_item", "set_item", "of_call"), draw.choice((1, 2))))
    form = _form(draw, "agent", names, (("approval", draw.choice(("batched", "per_call")), gated, False),))
    script = _broken(draw, names, ("whole", *CUT_SHORT))
    return _program(seed, draw, form, script, forbidden=gated, checkpointed=True)


@shape(weight=2)
def _limited_beside_streams(seed: int, draw: Draw) -> Program:
    names = ("get_item", "of_call", "get_note")
    named = draw.choice((None, "get_item", "of_call"))
    limit = draw.randrange(4)
    said = {named: limit} if named is not None and draw.random() < 0.7 else {}
    form = _form(draw, "agent", names, (("tool_limit", named, limit, "continue"),))
    script = _streamed(draw, draw.script(names, turns=3), slow=True)
    forbidden = () if named is None or said else (named,)
    return _program(seed, draw, form, script, early_limits=said, forbidden=forbidden)


# -- runs that end in the middle of a stream -------------------------------------------------------------------------


@shape(weight=3)
def _stopped_while_streaming(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note", "of_call")
    form = _form(draw, draw.choice(("agent", "tool_node")), names)
    script = _streamed(draw, draw.script(names, 2, turns=2), slow=True)
    kind = draw.choice(("cancel", "timeout"))
    return _program(seed, draw, form, script, ending=Ending(kind, draw.random() * (script[0].pace_s + 0.1) + 0.001))


@shape(weight=2)
def _left_while_streaming(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item", "get_note", "of_call")
    form = _form(draw, "agent", names, model=draw.choice(("zoo", "streaming")))
    script = _streamed(draw, draw.script(names, 1, turns=2), slow=True)
    program = _program(seed, draw, form, script, ending=Ending("break", draw.randrange(1, 25)))
    return replace(program, modes=("messages",))


# -- shapes of the other zoo, streamed -------------------------------------------------------------------------------


def _again(make: Shape) -> Shape:
    def streamed(seed: int, draw: Draw) -> Program:
        program = make(seed, draw)
        visits = tuple(
            replace(visit, script=_streamed(draw, visit.script, slow=draw.random() < 0.5)) for visit in program.visits
        )
        model = draw.choice(("streaming", "streaming", "zoo", "v1"))
        modes = program.modes
        if model == "zoo" and not set(modes) & set(_LOOKS_ON):
            modes = (*modes, draw.choice(_LOOKS_ON))
        return replace(program, visits=visits, form=replace(program.form, model=model), modes=modes)

    return streamed


for _name in AGAIN:
    ZOO.put(f"streamed_{_name}", _again(SHAPES[_name]), _name not in SILENT)
