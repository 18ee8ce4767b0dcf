"""The figures of an evaluation are those that a person gets with pencil and paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.core.history import Origin
from langgraph_speculate.errors import TraceError
from langgraph_speculate.predict import Order1, default_predictor
from langgraph_speculate.traces import Run
from langgraph_speculate.traces.evaluate import Evaluation, Method, evaluate, evaluation_of, known_predictors, measure
from langgraph_speculate.traces.results import SetResult, measure_sets
from langgraph_speculate.traces.score import Score

GET_A, GET_B, GET_C = (Call("get_order", {"id": name}) for name in "abc")
LIST, CANCEL = Call("list_orders", {}), Call("cancel_order", {"id": "a"})


def run_of(number: int, *messages: Sequence[Call], task: str | None = None) -> Run:
    """A run whose model calls what each of *messages* says, and then answers."""
    events: list[dict[str, Any]] = [{"role": "user", "content": f"Question {number}"}]
    for step, calls in enumerate(messages):
        made = [{"id": f"{step}-{at}", "name": call.name, "args": dict(call.args)} for at, call in enumerate(calls)]
        events.append({"role": "assistant", "content": "", "tool_calls": made})
        events += [{"role": "tool", "tool_call_id": call["id"], "content": "{}"} for call in made]
    events.append({"role": "assistant", "content": "Done.", "tool_calls": []})
    return Run(f"run-{number}", task or f"task-{number}", events)


class Says:
    """Says the same before every message."""

    def __init__(self, *guesses: tuple[Call, float]) -> None:
        self.guesses = [Candidate(call, probability) for call, probability in guesses]
        self.learned: list[History] = []

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return self.guesses[:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        self.learned.append(history)


def test_every_figure_by_hand():
    """
    Two runs, learned from none. Guesses: cancel .9 (a write), get a .62, list .34, get b .05.

    Run 1: [get a, cancel], [get b], answer. Run 2: [get a], [get a], answer. Six messages, five calls, four reads.
    """
    says = Says((CANCEL, 0.9), (GET_A, 0.62), (LIST, 0.34), (GET_B, 0.05))
    score = evaluate(says, [], [run_of(1, [GET_A, CANCEL], [GET_B]), run_of(2, [GET_A], [GET_A])])
    figures = score.figures()

    assert figures["decision points"] == 6
    assert figures["read-only calls"] == 4
    assert figures["step type"] == 4 / 6  # it always expects a call
    assert figures["step type, always the same"] == 4 / 6
    assert figures["name@1"] == 1 / 5  # cancel_order is named first, get_order second
    assert figures["name@3"] == 1.0
    # Reads are ranked without the write: get a, list, get b.
    assert (figures["RO@1"], figures["RO@3"], figures["RO@10"]) == (3 / 4, 1.0, 1.0)
    # get a in run 1 and get b are derived, get a in run 2 is seen, then a repeat.
    assert (figures["repeat@3"], figures["seen@3"], figures["derived@3"]) == (1 / 4, 1 / 4, 2 / 4)
    assert figures["derived@1"] == 1 / 4
    # From .5 on it would launch get a six times and hit three; from .3 on list as well, in vain.
    assert (figures["precision≥0.5"], figures["coverage≥0.5"], figures["waste≥0.5"]) == (3 / 6, 3 / 4, 3 / 3)
    assert (figures["precision≥0.3"], figures["coverage≥0.3"], figures["waste≥0.3"]) == (3 / 12, 3 / 4, 9 / 3)
    assert (figures["precision≥0.7"], figures["coverage≥0.7"], figures["waste≥0.7"]) == (0, 0, 0)
    # .62 said, .5 hit; .34 said, 0 hit; six each; .05 is too little to be asked.
    assert score.reliability() == [
        {"probability": pytest.approx(0.34), "hit": 0.0, "count": 6},
        {"probability": pytest.approx(0.62), "hit": 0.5, "count": 6},
    ]
    assert figures["ECE"] == pytest.approx((0.34 + 0.12) / 2)
    assert score.tools() == {"get_order": {"calls": 4, "RO@1": 3 / 4, "RO@3": 1.0, "RO@10": 1.0}}
    curve = {point["threshold"]: (point["launched"], point["hits"]) for point in score.curve()}
    assert (curve[0.05], curve[0.1], curve[0.6], curve[0.65]) == ((18, 4), (12, 3), (6, 3), (0, 0))


def test_a_threshold_holds_what_reaches_it():
    """
    A candidate of exactly .5 is launched from .5 on, and one that is said twice is launched once.
    """
    score = Score()
    score.see([Candidate(GET_A, 0.5), Candidate(GET_A, 0.5)], [GET_A])
    assert score.figures()["coverage≥0.5"] == 1.0
    assert score.curve()[9] == {
        **{"threshold": 0.5, "launched": 1, "hits": 1},
        **{"precision": 1.0, "coverage": 1.0, "waste": 0.0},
    }
    assert score.curve()[10]["launched"] == 0


def test_what_was_learned_before_is_told_from_what_had_to_be_derived():
    """
    Frozen, what the test part itself holds is not known; online it is, from the next run on.
    """
    says = Says((GET_A, 0.9), (GET_B, 0.8), (GET_C, 0.7))
    train, test = [run_of(1, [GET_A])], [run_of(2, [GET_A, GET_B]), run_of(3, [GET_B])]
    frozen, online = (evaluate(says, train, test, online=online) for online in (False, True))
    assert {origin: hits.calls for origin, hits in frozen.by_origin.items()} == {"repeat": 0, "seen": 1, "derived": 2}
    assert {origin: hits.calls for origin, hits in online.by_origin.items()} == {"repeat": 0, "seen": 2, "derived": 1}
    assert (len(frozen.learn_us), len(online.learn_us)) == (0, 4)


def test_a_history_says_of_which_run_it_is_and_of_no_partition():
    """
    What is mined from recordings counts its runs apart.
    """
    says = Says()
    evaluate(says, [run_of(1, [GET_A])], [run_of(2, [GET_A])])
    assert [history.origin for history in says.learned] == [
        Origin(thread=f"run-{number}", run=f"run-{number}") for number in (1, 1, 2, 2)
    ]


def test_scores_add_up():
    """
    The pooled figures of two splits are those of both their messages; the means are means.
    """
    first, second = Score(), Score()
    first.see([Candidate(GET_A, 0.9)], [GET_A])
    second.see([Candidate(GET_A, 0.9)], [GET_B])
    second.see([], [])
    evaluation = Evaluation("says", [first, second])
    assert evaluation.pooled.points == 3
    assert evaluation.pooled.reads.share(1) == 0.5
    assert evaluation.pooled.curve()[9]["launched"] == 2
    figures = evaluation.figures()
    assert (figures["RO@1"], figures["RO@1 ±"]) == (0.5, 0.5)
    assert figures["decision points"] == 1.5
    assert figures["ECE"] == pytest.approx(abs(2 * 0.9 - 1) / 2)
    assert (figures["precision≥0.5"], figures["coverage≥0.5"], figures["waste≥0.5"]) == (0.5, 0.5, 1.0)


def test_nothing_to_measure_is_all_zeros():
    """
    No runs, no division by them.
    """
    score = evaluate(Order1(), [], [])
    assert not any(score.figures().values())
    assert score.reliability() == []
    (result,) = [SetResult.of("empty", [], [Evaluation("order 1", [score])])]
    assert "hold no calls of tools" in " ".join(result.in_words())


def test_too_few_tasks_are_an_error_with_a_remedy():
    """
    One task cannot be on both sides; its runs can.
    """
    runs = [run_of(number, [GET_A], task="only") for number in range(4)]
    with pytest.raises(TraceError, match=r"^mine: too few tasks .* or split by run"):
        measure_sets({"mine": runs}, ["order 1"], Method(seeds=1), Quiet)
    assert measure(runs, Order1, seeds=2, by="run")["RO@1"] == 1.0


class Quiet:
    def __init__(self, what: str, total: int) -> None:
        self.left = total

    def __enter__(self):
        return self.step

    def step(self) -> None:
        self.left -= 1

    def __exit__(self, kind, error, trace) -> None:
        assert self.left == 0 or error


def test_the_same_seeds_give_the_same_figures():
    """
    Measured twice, everything but the times is the same.
    """
    runs = [run_of(number, [LIST], [Call("get_order", {"id": str(number % 5)})]) for number in range(30)]
    first, second = (evaluation_of(runs, "default", default_predictor, Method(seeds=2)).figures() for _ in range(2))
    assert {name: value for name, value in first.items() if "µs" not in name} == {
        name: value for name, value in second.items() if "µs" not in name
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"seeds": 0}, "seeds must be at least 1"), ({"by": "day"}, "by must be"), ({"train": 1.0}, "train must lie")],
)
def test_a_method_checks_itself(settings: dict[str, Any], complaint: str):
    """
    What cannot be measured is refused at once.
    """
    with pytest.raises(ValueError, match=complaint):
        Method(**settings)


def test_predictors_are_known_by_name():
    """
    With hyphens as on a command line, each once, all of them where none is named.
    """
    assert known_predictors(["Order-1", "default", "order 1"]) == ["order 1", "default"]
    assert known_predictors([]) == ["default", "order 1", "last follower", "never"]
    with pytest.raises(TraceError, match="no predictor 'ordr-1'; did you mean 'order 1'"):
        known_predictors(["ordr-1"])
