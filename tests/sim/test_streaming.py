"""The campaign of streaming programs: no pair breaks a promise."""

from __future__ import annotations

import pytest
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from tests.sim import moments
from tests.sim.__main__ import command_of
from tests.sim.campaign import Tally, campaign
from tests.sim.processes import shown_by_processes
from tests.sim.side import run_side
from tests.sim.streaming import ZOO
from tests.sim.streams import CUT_SHORT, ENDINGS, SHAPES, Said, Stream, message_of, pieces_of

PAIRS = 1_050
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, PAIRS, JOBS, zoo=ZOO.name)


def test_no_streaming_pair_breaks_a_promise(tally: Tally) -> None:
    told = [f"{command_of(seed, 'fifo', ZOO.name)}\n    {' '.join(rest)}" for seed, *rest in tally.mismatches]
    assert not told, "\n".join(told)
    assert tally.pairs == PAIRS


def test_every_streaming_shape_and_every_predictor_occurs_and_speculates(tally: Tally) -> None:
    for shape in ZOO.shapes:
        print(f"{shape:<36}{tally.shapes[shape]:>6} pairs{tally.launched[shape]:>6} started early")
    print(f"{tally.wall_s:.0f} s, {tally.racy} racy, {dict(tally.counts.most_common())}")
    assert tally.missing() == []
    assert not any(tally.launched[shape] for shape in ZOO.silent)


def test_every_way_to_stream_and_every_ending_occurs() -> None:
    streams = [
        turn.stream
        for seed in range(500)
        for visit in ZOO.program_of(seed).visits
        for turn in visit.script
        if turn.asks and turn.stream is not None
    ]
    assert {stream.shape for stream in streams} == set(SHAPES)
    assert {stream.ending for stream in streams} == set(ENDINGS)
    assert any(stream.garbled for stream in streams)


def test_a_streaming_seed_means_the_same_run_in_every_process_and_under_every_hash_seed() -> None:
    shown = shown_by_processes("streaming", range(0, 80, 2), ("0", "4242"))
    assert shown[0].count("\n") == 40
    assert shown[0] == shown[1]


# -- the streams themselves ------------------------------------------------------------------------------------------

_CALLS = (
    ("get_item", "u1.0.0", {"id": 12}),
    ("set_item", "u1.0.1", {"id": 1, "text": 'é😀 "\\'}),
    ("list", "u1.0.2", {}),
)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_message_is_what_langchain_makes_of_its_chunks(shape: str) -> None:
    said = Said("heard", _CALLS, "m.u1.0")
    for seed in range(30):
        for ending in ("whole", *CUT_SHORT):
            pieces = pieces_of(said, Stream(seed, shape, ending), 1.0)
            assert sum(piece.after_s or 0.0 for piece in pieces) == pytest.approx(1.0)
            message = message_of(pieces)
            chunks = [piece.chunk for piece in pieces]
            if chunks[-1].chunk_position != "last":
                empty = "" if isinstance(chunks[-1].content, str) else []
                chunks.append(AIMessageChunk(content=empty, chunk_position="last"))
            merged = generate_from_stream(ChatGenerationChunk(message=chunk) for chunk in chunks).generations[0]
            assert message.content == merged.message.content
            assert message.tool_calls == merged.message.tool_calls
            if ending == "whole" and shape not in ("repeated", "cumulative", "revised"):
                calls = [(call["name"], call["id"], call["args"]) for call in message.tool_calls]
                assert calls == list(_CALLS)


@pytest.mark.parametrize("model", ["streaming", "zoo"])
def test_models_stream_when_they_are_asked_to(model: str) -> None:
    """
    A model that streams always does so in any mode; another does when somebody looks.
    """
    programs = [
        p for seed in range(300) if (p := ZOO.program_of(seed)).form.model == model and not p.visits[0].starts_s
    ]
    for program in programs[:10]:
        side = run_side(program, False)
        said = [kind for seen in side.visits.values() for kind, _ in seen.events if kind == "model says"]
        assert said, program


def test_a_model_that_must_not_stream_does_not() -> None:
    program = next(p for seed in range(300) if (p := ZOO.program_of(seed)).shape == "never_streamed")
    side = run_side(program, False)
    assert not [kind for seen in side.visits.values() for kind, _ in seen.events if kind == "model says"]


# -- the checks can fail ---------------------------------------------------------------------------------------------


def test_a_tool_that_shows_before_its_call_is_noticed() -> None:
    program = next(
        p for seed in range(900) if (p := ZOO.program_of(seed)).shape == "alike_at_first" and p.modes == ("messages",)
    )
    side = run_side(program, True)
    assert not list(moments.broken_promises(program, side))
    seen = side.visits["u1"]
    seen.chunks.reverse()
    assert "order" in {mismatch.clause for mismatch in moments.broken_promises(program, side)}


def test_a_body_too_many_is_noticed() -> None:
    program = next(
        p
        for seed in range(300)
        if (p := ZOO.program_of(seed)).shape == "alike_at_first"
        and p.predictor == "perfect"
        and not p.queue_wait_s
        and any(body.early for body in run_side(p, True).world.bodies)
    )
    plain, side = run_side(program, False), run_side(program, True)
    assert not list(moments.too_many_bodies(program, plain, side))
    early = next(body for body in side.world.bodies if body.early)
    side.world.bodies += [early] * 6
    assert list(moments.too_many_bodies(program, plain, side))
    assert "twice" in {mismatch.clause for mismatch in moments.broken_promises(program, side)}
