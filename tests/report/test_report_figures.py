"""What a log comes to: nothing is counted twice, nothing is made better than it was, memory does not grow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.speculation import Discard
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.report.choice import Choice
from langgraph_speculate.report.course import Course
from langgraph_speculate.report.figures import Figures
from langgraph_speculate.report.remedies import advice, meaning, remedy
from langgraph_speculate.report.runs import Run
from langgraph_speculate.report.summary import as_json, plain_s, sentence
from tests.report.logs import UNDECLARED, busy_run, idle_run, shadow_run


def figures_of(*happened: events.Event) -> Figures:
    figures = Figures(Choice())
    for event in happened:
        figures.take(event)
    return figures


def test_the_runs_of_these_tests_keep_all_promises():
    """
    Figures of histories that cannot happen would prove little.
    """
    assert audit([*busy_run(), *idle_run(), *shadow_run()]) == []


def test_overlap_that_is_added_up_is_not_time_saved():
    """
    Bodies of 1, 1.5 and 0.2 s ran; what counts is each step's longest body less its longest wait: 1 and 1 s.
    """
    figures = figures_of(*busy_run())

    assert figures.stats().hidden_s == 2.0
    assert plain_s(figures) == 4.5 + 2.0


def test_the_first_sentence_says_what_was_saved_hidden_wasted_and_written():
    """
    Shares are of what the runs would have taken, and of what the tools took.
    """
    assert sentence(figures_of(*busy_run())) == (
        "Saved 31 % of 6.5 s, hid 80 % of the wait for tools, wasted 2.5 s of tool time, ran no write ahead."
    )


def test_real_writes_are_not_denied():
    """
    A run may write as much as its model asks for: what is said is that no write ran ahead.
    """
    wrote = events.Wrote(run="r", at=104.4, number=99, began=True, epoch=1, writes=("*",))
    figures = figures_of(*busy_run()[:-1], wrote, busy_run()[-1])

    assert figures.writes == 1
    assert sentence(figures).endswith("ran no write ahead.")


def test_a_log_without_events_hints_at_the_switch():
    """
    Runs that are switched off write none, which looks like a log that went elsewhere.
    """
    assert "runs that are off (LANGGRAPH_SPECULATE, level) write none" in sentence(figures_of())


def test_a_run_that_became_longer_is_not_called_saved():
    """
    A wait that outlasts its body is a loss.
    """
    happened = [
        replace(event, waited_s=3.0) if isinstance(event, events.StepSettled) else event for event in busy_run()
    ]
    assert sentence(figures_of(*happened)).startswith("Lost 350 % of 1 s")


def test_shadow_tells_what_was_foreseen():
    """
    Where nothing ran ahead there is nothing to have saved.
    """
    assert sentence(figures_of(*idle_run())) == "Nothing ran ahead; 1 of 1 call were foreseen, and the tools took 1 s."


def test_shadow_tells_in_the_conditional_what_would_have_been():
    """
    Of the time that its runs took; in a log of several levels after what really happened, which it does not touch.
    """
    foretold = (
        "Would have saved 38 % of 4 s, hidden 75 % of the wait for tools, wasted 500 ms of tool time; nothing ran."
    )
    figures = figures_of(*shadow_run())
    assert sentence(figures) == foretold

    data, mixed = as_json(figures), figures_of(*busy_run(), *shadow_run())
    assert (data["shadow_s"], data["stats"]["launched"], data["stats"]["shadow"]["launched"]) == (4.0, 0, 3)
    assert data["stats"]["shadow"]["by_tool"]["track"]["joined"] == 1
    assert data["imagined_waste"] == {"contradicted": {"calls": 1, "seconds": 0.5, "cost": 0.0}}
    assert data["waste"] == {}
    assert sentence(mixed).startswith("Saved ")
    assert sentence(mixed).endswith(f" Runs in shadow w{foretold[1:]}")
    assert mixed.stats().hidden_s == figures_of(*busy_run()).stats().hidden_s


def test_runs_in_shadow_are_chosen_by_what_they_would_have_hidden():
    """
    What they did hide is nothing.
    """
    shorter = [
        replace(event, tool_s=0.75) if isinstance(event, events.ShadowStepSettled) else event
        for event in shadow_run("short", began=400.0)
    ]
    figures = figures_of(*shadow_run(), *shorter)
    assert [(pick.run.id, pick.run.hidden_s, pick.run.wasted_s) for pick in figures.choice.picks()] == [
        ("s", 1.5, 0.5),
        ("short", 1.0, 0.5),
    ]


def test_a_tool_that_ran_ahead_although_it_may_write_is_told_first():
    """
    The log of a gate that was not obeyed does not pass for a harmless one.
    """
    happened = busy_run()
    launch = next(event for event in happened if isinstance(event, events.Launched))

    told = sentence(figures_of(*happened[:-1], replace(launch, id="r:9", tool="open_return"), happened[-1]))

    assert "ran open_return ahead, which may write" in told
    assert "ran no write ahead" not in told


def test_waste_is_told_by_reason_in_calls_seconds_and_money():
    """
    A discard and what it cost come apart, and belong together.
    """
    waste = figures_of(*busy_run()).waste["contradicted"]

    assert (waste.calls, waste.seconds, waste.cost) == (1, 2.5, 0.25)


def test_precision_counts_guesses_and_not_what_was_certain():
    """
    A call that the model had written, and a second body of a call, say nothing about probabilities.
    """
    certain = [
        replace(event, stage="complete", probability=1.0)
        if isinstance(event, events.Launched) and event.id == "r:3"
        else event
        for event in busy_run()
    ]

    def hit_and_missed(happened):
        return [(one.launched, one.hits) for one in figures_of(*happened).bins if one.launched]

    assert hit_and_missed(busy_run()) == [(1, 0), (1, 1), (1, 1)]
    assert hit_and_missed(certain) == [(1, 0), (1, 1)]


def test_hits_and_foreseen_calls_are_told_as_they_come():
    """
    Stretches of real calls, in their order.
    """
    figures = figures_of(*idle_run("r1"), *idle_run("r2"), *busy_run())

    assert [dict(stretch) for stretch in figures.course.stretches()] == [{"foreseen": 4, "calls": 5, "hits": 2}]


@pytest.mark.parametrize("calls", [0, 1, 7, 1000, 12345])
def test_a_course_keeps_every_call_in_few_stretches(calls):
    """
    However long it gets, nothing is lost and stretches stay few and equally long.
    """
    course = Course(most=8, width=2)
    for number in range(calls):
        course.add("calls")
        course.add("hits", number % 2)
        course.next()

    stretches = course.stretches()
    assert len(stretches) <= 8
    assert sum(stretch["calls"] for stretch in stretches) == calls
    assert sum(stretch["hits"] for stretch in stretches) == calls // 2
    assert {stretch["calls"] for stretch in stretches[:-1]} <= {course.width}


def run(place: int, hidden_s: float = 0.0, wasted_s: float = 0.0) -> Run:
    return Run(f"r{place}", place, began=0.0, ended=1.0, hidden_s=hidden_s, wasted_s=wasted_s)


def test_the_best_the_worst_and_the_last_run_are_shown_whatever_the_lot_says():
    """
    They are those of the whole log, not of a sample.
    """
    choice = Choice(most=4)
    for place in range(1, 5001):
        choice.see(run(place, hidden_s=5.0 if place == 1234 else 1.0, wasted_s=9.0 if place == 4321 else 0.5))

    picks = {pick.why: pick.run.place for pick in choice.picks()}

    assert choice.sampled
    assert picks["hid most"] == 1234
    assert picks["gained least"] == 4321
    assert picks["the last"] == 5000
    assert len(picks) == 4


def test_the_same_log_gives_the_same_choice():
    """
    The lot has a fixed seed, and favours neither the beginning nor the end.
    """

    def drawn():
        choice = Choice(most=60)
        for place in range(1, 10_001):
            choice.see(run(place))
        return [pick.run.place for pick in choice.picks() if pick.why == "drawn by lot"]

    assert drawn() == drawn()
    assert 3000 < sum(drawn()) / len(drawn()) < 7000


def test_a_run_that_is_asked_for_is_shown_beside_the_others():
    """
    And one that the log does not hold is told.
    """
    choice = Choice(most=1, wanted=["r50", "r999"])
    for place in range(1, 101):
        choice.see(run(place))

    assert next((pick.run.id, pick.why) for pick in choice.picks()) == ("r50", "asked for")
    assert choice.missing() == {"r999"}


def test_runs_without_an_end_are_counted_and_given_up_in_time():
    """
    Logs of processes that were killed: what their runs did counts, and they do not fill the memory.
    """
    figures = Figures(Choice())
    for number in range(5000):
        figures.take(events.TurnBegan(run=f"r{number}", at=float(number), number=1, turn="t"))

    assert figures.runs.begun == 5000
    assert len(figures.runs.unfinished()) + figures.runs.given_up == 5000
    assert figures.runs.given_up > 0
    assert as_json(figures)["runs_without_end"] == 5000


def test_names_that_were_made_up_do_not_fill_the_memory():
    """
    Thousands of tools, reasons' details and graphs share a line once there are too many.
    """
    figures = Figures(Choice())
    for number in range(3000):
        denial = events.Denied(run="r", at=0.0, number=0, turn="t", tool=f"t{number}", reason="undeclared", detail="")
        refusal = events.Refused(run="r", at=0.0, number=0, turn="t", tool=f"t{number}", reason="rate")
        figures.take(denial)
        figures.take(refusal)

    assert figures.denials.total() == 3000
    assert len(figures.denials) < 1100
    assert figures.refusals["rate"].total() == 3000
    assert len(figures.refusals["rate"]) < 600
    assert len(figures.stats().by_tool) < 600


def test_figures_of_clocks_that_make_no_sense_are_still_figures():
    """
    A log may hold anything a number can be.
    """
    figures = figures_of(*(replace(event, at=math.nan) for event in busy_run()))

    assert figures.stats().hits == 2
    assert sentence(figures)


@pytest.mark.parametrize("reason", [*Reason, *Refusal, *Discard])
def test_every_reason_says_what_happened_or_what_to_change(reason):
    """
    Nobody is left alone with a code word.
    """
    if isinstance(reason, Discard):
        assert meaning(reason)
    elif isinstance(reason, Refusal):
        assert meaning(reason)
        assert remedy(reason) or reason == Refusal.CALL_LIMIT
    else:
        assert advice(reason, "what the gate says")[1]


def test_a_denial_that_tells_its_remedy_is_not_told_another():
    """
    The gate's own words name the tool and the line to write.
    """
    assert advice("undeclared", UNDECLARED) == ("nobody said that it only reads", UNDECLARED)
