"""The checks of predictors: those that are shipped pass, and each check can fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_speculate.core import Call, Candidate, Draft, History
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.predict import BlendedPredictor, LastFollower, Never, Order1, default_predictor
from langgraph_speculate.predict.stream import conditioned
from langgraph_speculate.testing import check_predictor, recorded_runs


@pytest.mark.parametrize(
    "make", [default_predictor, BlendedPredictor, Order1, LastFollower, Never, lambda: GoodAtMessages()]
)
def test_shipped_predictors_pass(make: Any):
    check_predictor(make)


class Good(Order1):
    """What the bad ones are made from."""


class KnowsAtOnce(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(Call("get"), 0.5)][:k]


class TooMany(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return super().predict(history, k=k + 5)


class BeyondCertain(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(one.call, 1.5) for one in super().predict(history, k=k)]


class NoNumber(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(one.call, math.nan) for one in super().predict(history, k=k)]


class WorstFirst(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        found = super().predict(history, k=k)
        return [Candidate(one.call, (at + 1) / 100) for at, one in enumerate(found + found[:1])][:k]


class Twice(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [one for one in super().predict(history, k=k) for _ in range(2)][:k]


class NotToBeCompared(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(Call("get", {"a": object()}), 0.5) for _ in super().predict(history, k=k)][:1]


class LearnsByPredicting(Good):
    def predict(self, history: History, *, k: int) -> list[Candidate]:
        found = super().predict(history, k=k)
        super().learn(history, [Call("asked", {"times": len(self._last)})] * bool(k))
        return found


class Moody(Good):
    count = 0

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        Moody.count += 1
        return [Candidate(one.call, one.probability / (1 + Moody.count)) for one in super().predict(history, k=k)]


class Meddles(Good):
    def learn(self, history: History, calls: Sequence[Call]) -> None:
        super().learn(history, calls)
        for call in calls:
            call.args["more"] = 1  # type: ignore[index]


class Fragile(Good):
    def learn(self, history: History, calls: Sequence[Call]) -> None:
        super().learn(history, calls)
        assert all(call.key for call in calls)


class GoodAtMessages(Good):
    """What the bad ones among those that read messages are made from."""

    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        return [] if draft.current is None else conditioned(self.predict(history, k=k), draft)


class KnowsAtOnceWhatIsWritten(GoodAtMessages):
    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        return [Candidate(Call("get"), 0.5)][:k]


class TooManyForMessages(GoodAtMessages):
    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        return super().narrow(history, draft, k=k + 5)


class BeyondCertainOfMessages(GoodAtMessages):
    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        return [Candidate(one.call, 1.5) for one in super().narrow(history, draft, k=k)]


class LearnsByNarrowing(GoodAtMessages):
    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        found = super().narrow(history, draft, k=k)
        super().learn(history, [Call("asked", {"length": draft.length})])
        return found


class MoodyAboutMessages(GoodAtMessages):
    count = 0

    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        MoodyAboutMessages.count += 1
        found = super().narrow(history, draft, k=k)
        return [Candidate(one.call, one.probability / (1 + MoodyAboutMessages.count)) for one in found]


class MeddlesWithMessages(GoodAtMessages):
    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        draft.say("more")
        return super().narrow(history, draft, k=k)


class NoPredictor:
    def guess(self) -> None:
        pass


@pytest.mark.parametrize(
    "make",
    [
        KnowsAtOnce,
        TooMany,
        BeyondCertain,
        NoNumber,
        WorstFirst,
        Twice,
        NotToBeCompared,
        LearnsByPredicting,
        Moody,
        Meddles,
        Fragile,
        KnowsAtOnceWhatIsWritten,
        TooManyForMessages,
        BeyondCertainOfMessages,
        LearnsByNarrowing,
        MoodyAboutMessages,
        MeddlesWithMessages,
        NoPredictor,
    ],
)
def test_each_promise_that_is_broken_is_noticed(make: Any):
    with pytest.raises((AssertionError, UnkeyableArguments)):
        check_predictor(make)


def test_made_up_runs_are_the_same_every_time():
    assert repr(list(recorded_runs())) == repr(list(recorded_runs()))
    assert len(list(recorded_runs(3))) == 12
