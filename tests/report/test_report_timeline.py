"""A run as a timeline: each stretch where it belongs, with its story."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

from langgraph_speculate.core import events
from langgraph_speculate.report.perfetto import trace_of
from langgraph_speculate.report.timeline import Span, timeline
from tests.report.logs import busy_run, shadow_run


def spans(kind: str, lane: str | None = None) -> list[Span]:
    found = timeline("r", busy_run()).spans
    return [span for span in found if span.kind == kind and lane in (None, span.lane)]


def test_speculations_lie_where_their_bodies_ran_and_say_what_became_of_them():
    """
    Ready, waited for, in vain: each with its probability, its source and its reason, or what the agent did not wait.
    """
    (ready,), (joined,), (vain,) = spans("ready"), spans("joined"), spans("vain")

    assert (ready.lane, ready.began, ready.ended) == ("get_order", 100.0, 101.0)
    assert ready.story == (
        "Started before the model had written anything, at 90 % (source: memory); ran 1 s. "
        "A real call took its result: the agent waited 0 s instead of 1 s."
    )
    assert (joined.lane, joined.began, joined.ended) == ("track", 102.0, 103.5)
    assert "when the model had written the tool’s name" in joined.story
    assert joined.story.endswith("A real call waited for it: the agent waited 500 ms instead of 1.5 s.")
    assert (vain.lane, vain.began, vain.ended) == ("search", 100.0, 102.5)
    assert vain.story.endswith("In vain (contradicted): the model’s message did not ask for it.")


def test_a_guess_whose_source_is_not_in_the_log_has_none():
    """
    No empty brackets.
    """
    unknown = [replace(one, source="") if isinstance(one, events.Launched) else one for one in busy_run()]

    assert "at 90 %; ran 1 s." in next(span.story for span in timeline("r", unknown).spans if span.kind == "ready")


def test_what_is_imagined_lies_where_it_would_have_run_and_says_that_nothing_did():
    """
    As long as the real call took, or as its tool does.
    """
    found = {span.lane: span for span in timeline("s", shadow_run()).spans if span.kind in ("imagined", "futile")}

    assert [(span.kind, span.began, span.ended) for span in found.values()] == [
        ("imagined", 300.0, 301.0),
        ("futile", 300.0, 300.5),
        ("imagined", 302.5, 303.5),
    ]
    assert found["get_order"].story == (
        "Would have started before the model had written anything, at 90 % (source: memory); would have run 1 s. "
        "A real call would have taken its result. Nothing ran."
    )
    assert "would have waited 500 ms for it" in found["track"].story
    assert found["search"].story.endswith(
        "In vain (contradicted): the model’s message did not ask for it. Nothing ran."
    )


def test_the_agent_waits_where_its_real_calls_do():
    """
    With what it would have waited beside it.
    """
    assert [(span.lane, span.seconds, span.story) for span in spans("wait", "track")] == [
        ("track", 0.5, "The agent waited 500 ms instead of 1.5 s: the call had run ahead.")
    ]
    assert [span.story for span in spans("wait", "get_order")] == [
        "The agent waited 0 s instead of 1 s: the call had run ahead.",
        "The agent waited 200 ms: nothing had run ahead for this call.",
    ]


def test_a_model_step_tells_what_was_expected_and_why_it_was_not_started():
    """
    Where a guess is missing, its reason stands beside it.
    """
    assert spans("model")[0].story == (
        "The model wrote for 2 s and called get_order; expected: get_order 90 %, "
        "search 40 % (expected to cost more than it saves)."
    )
    assert spans("model")[2].story == "The model wrote for 1 s and called nothing; nothing was expected."


def test_a_denial_says_why_and_what_to_change():
    """
    Both of what the gate says and of what the reason means.
    """
    assert [(span.lane, span.story) for span in spans("denied")] == [
        (
            "open_return",
            "Not run ahead (not_read_only): tools.open_return says no. "
            "What to change: read_only = true if it only reads; nothing if it writes.",
        ),
        (
            "look_up",
            "Not run ahead (undeclared): nobody said that it only reads. "
            "What to change: declare [tools.look_up] read_only = true if it only reads.",
        ),
    ]


def test_spans_of_one_row_do_not_overlap():
    """
    Speculations above, what waits below them, the model on top.
    """
    line = timeline("r", busy_run())
    for lane in line.lanes:
        for row in range(line.rows(lane)):
            inside = [span for span in line.spans if (span.lane, span.row) == (lane, row)]
            assert inside
            assert all(first.ended <= second.began for first, second in itertools.pairwise(inside))

    assert line.lanes[0] == "model"
    assert line.rows("get_order") == 2


def test_the_order_in_which_threads_hand_events_out_does_not_matter():
    """
    Their numbers say how they happened.
    """
    shuffled = busy_run()
    random.Random(1).shuffle(shuffled)

    assert timeline("r", shuffled) == timeline("r", busy_run())


def test_a_run_that_was_cut_off_is_shown_as_far_as_it_goes():
    """
    What is open at the end of the log ends there.
    """
    cut = timeline("r", busy_run()[:6])

    assert {span.kind for span in cut.spans} == {"model", "vain", "denied"}
    assert "What became of it is not in the log." in [span.story[-36:] for span in cut.spans]
    assert timeline("r", []).spans == ()


def test_a_run_with_too_much_to_show_says_how_much_is_left_out():
    """
    The beginning is shown.
    """
    line = timeline("r", busy_run(), most=3)

    assert (len(line.spans), line.left_out) == (3, len(timeline("r", busy_run()).spans) - 3)


def test_times_that_make_no_sense_are_left_out():
    """
    Neither NaN nor the end of all numbers reaches a page.
    """
    happened = busy_run()
    odd = [replace(happened[3], at=math.nan, id="x"), replace(happened[3], at=-1.7e308, id="y")]
    settled = next(event for event in happened if isinstance(event, events.CallSettled))

    line = timeline("r", [*happened, *odd, replace(settled, number=99, waited_s=math.nan)])

    assert all(math.isfinite(span.began) and 0 <= span.seconds < 10 for span in line.spans)


def test_a_trace_has_a_process_a_run_and_a_thread_a_row():
    """
    What Perfetto needs: microseconds from the run's beginning, complete events that do not overlap, instants.
    """
    events_of = trace_of([timeline("r", busy_run()), timeline("s", busy_run("s"))])["traceEvents"]

    names = {event["pid"]: event["args"]["name"] for event in events_of if event["name"] == "process_name"}
    assert names == {1: "run r", 2: "run s"}
    track = next(event for event in events_of if event["name"] == "track" and event["cat"] == "ran ahead, waited for")
    assert (track["ph"], track["ts"], track["dur"]) == ("X", 2_000_000, 1_500_000)
    assert {event["ph"] for event in events_of} == {"M", "X", "i"}
    threads = {(event["pid"], event["tid"]) for event in events_of if event["name"] == "thread_name"}
    assert all((event["pid"], event["tid"]) in threads for event in events_of if event["ph"] != "M")
