"""What previews may cost: which bets are made, what they come to, and when none is made any more."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.latency import Latencies
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.stakes import Bet, Objection, Stakes, Tokens
from langgraph_speculate.core.worth import Prices
from langgraph_speculate.policy import Limits, TokenPrice


def bet(probability: float = 0.9, tokens: Tokens = Tokens(1_000, 100), model: str = "gpt") -> Bet:  # noqa: B008
    return Bet(model, ("search",), probability, tokens)


def stakes(price: float = 3.0, **limits: Any) -> Stakes:
    return Stakes(Prices(), Latencies(), lambda model: TokenPrice(input=price, output=price), Limits(**limits))


def objection(of: Stakes, one: Bet, spent: int = 0, now: float = 0.0) -> Objection | None:
    return of.objection(one, spent, now)


@pytest.mark.parametrize(
    ("probability", "price", "made"),
    [(0.9, 3.0, True), (0.05, 3.0, False), (0.6, 3.0, True), (0.6, 300.0, False), (0.05, 0.0, True)],
)
def test_a_bet_is_made_if_the_time_it_saves_is_worth_its_tokens(probability: float, price: float, made: bool):
    """
    The likelier and the cheaper, the better.
    """
    assert (objection(stakes(price), bet(probability)) is None) is made


def test_models_without_end_take_no_room_without_end():
    """
    Providers put dates and ids into names; beyond the first dozens, models share what is known of them, and a limit.
    """
    many = stakes(max_previews_per_model=1)
    for number in range(1000):
        one = bet(model=f"model-{number}")
        many.wrote(one.model, 1000)
        if objection(many, one) is None:
            many.made(one)
            many.lost(one, Tokens(1, 1), 0.0)
    assert max(map(len, (many._models, many._output, many._running, many._breakers))) <= 65
    assert objection(many, bet(model="model-0")) is Objection.BUSY
    assert objection(many, bet(model="never seen")) is Objection.BUSY


def test_what_takes_no_time_is_not_bet_on():
    """
    A tool that answers at once leaves nothing to hide.
    """
    latencies = Latencies()
    for _ in range(8):
        latencies.took("search", 0.0001)
    made = Stakes(Prices(), latencies, lambda model: TokenPrice(input=0.0, output=0.0))
    assert made.objection(bet(), 0, 0.0) is Objection.WORTH


def test_a_long_call_hides_no_more_than_the_tool_takes():
    """
    And a long tool no more than the model takes.
    """
    latencies = Latencies()
    for _ in range(8):
        latencies.took("search", 0.5)
        latencies.took("slow", 30.0)
        latencies.thought("gpt", 2.0)
    assert latencies.overlap("search", "gpt") == pytest.approx(0.5, rel=0.2)
    assert latencies.overlap("slow", "gpt") == pytest.approx(2.0, rel=0.2)


def test_cached_input_costs_what_it_costs():
    """
    Tokens that a provider has in its cache make a bet cheaper.
    """
    made = Stakes(Prices(), Latencies(), lambda model: TokenPrice(input=10.0, output=10.0, cached_input=1.0))
    assert made.cost("gpt", Tokens(1_000, 0, 1_000)) == pytest.approx(made.cost("gpt", Tokens(1_000, 0)) / 10)


def test_a_run_never_wastes_more_than_it_may():
    """
    A bet counts in full before it is made: what it may lose has to fit.
    """
    made = stakes(max_wasted_tokens_per_run=2_000)
    assert objection(made, bet(), spent=900) is None
    assert objection(made, bet(), spent=901) is Objection.RUN_TOKENS


def test_the_tokens_of_an_hour_are_counted_over_all_runs_and_come_back():
    """
    An hour later they are forgotten.
    """
    made = stakes(max_wasted_tokens_per_hour=1_500)
    made.lost(bet(), Tokens(500, 0), now=0.0)
    assert objection(made, bet(), now=3_599.0) is Objection.HOUR_TOKENS
    assert objection(made, bet(), now=3_600.0) is None


def test_no_more_previews_of_a_model_run_than_may():
    """
    So that real calls of other runs find their place; another model has its own.
    """
    made = stakes(max_previews_per_model=1)
    made.made(bet())
    assert objection(made, bet()) is Objection.BUSY
    assert objection(made, bet(model="other")) is None
    made.ended(bet())
    assert objection(made, bet()) is None


def test_memory_that_is_always_wrong_switches_itself_off_within_twenty_turns():
    """
    However sure it is of itself; later it is probed, and right ones bring it back.
    """
    made, lost = stakes(), 0
    for turn in range(20):
        if objection(made, bet(0.99), now=float(turn)) is None:
            made.made(bet(0.99))
            made.ended(bet(0.99))
            made.lost(bet(0.99), Tokens(1_000, 100), now=float(turn))
            lost += 1
    assert lost == 16
    assert objection(made, bet(0.99), now=20.0) is Objection.BREAKER
    assert [(switch.scope, switch.name, switch.state) for switch in made.take_switches()] == [("model", "gpt", "off")]
    for probe in range(4):
        assert objection(made, bet(0.99), now=100.0 + probe) is None
        made.made(bet(0.99))
        made.ended(bet(0.99))
        made.won(bet(0.99), hidden_s=1.0, now=100.0 + probe)
    assert objection(made, bet(0.99), now=200.0) is None
    assert [switch.state for switch in made.take_switches()] == ["probing", "on"]


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"input_tokens": 900, "output_tokens": 20}, Tokens(900, 20)),
        ({"input_tokens": 900, "input_token_details": {"cache_read": 512}}, Tokens(900, 0, 512)),
        ({"input_tokens": 900, "output_tokens": "many", "input_token_details": None}, Tokens(900, 0)),
        ({"input_tokens": -1}, None),
        ({}, None),
        ("900", None),
        (None, None),
    ],
)
def test_what_a_provider_counted_is_believed_as_far_as_it_makes_sense(usage: Any, counted: Tokens | None):
    """
    Recordings may say anything.
    """
    assert Tokens.counted(usage) == counted


def test_what_a_model_writes_is_learned():
    """
    Until something is known, a guess.
    """
    made = stakes()
    assert made.writes("gpt") == 200
    for _ in range(40):
        made.wrote("gpt", 50)
    assert made.writes("gpt") == 50


# -- of one run ------------------------------------------------------------------------------------------------------


def session(
    level: str = "declared", blocked: str | None = None, economy: Economy | None = None, **limits: Any
) -> Session:
    return Session("r", RunView(level, blocked, Epochs()), Limits(**limits), economy=economy)


def happened(of: Session) -> list[Any]:
    return [event for event in of.take_events() if type(event).__name__.startswith("Preview")]


def test_a_preview_ends_once():
    """
    Used or wasted, whichever comes first; what comes after is not counted.
    """
    one = session()
    id = one.previews.begin(bet(), 0.0)
    assert id is not None
    one.previews.used(id, 0.5, True, 1.0)
    one.previews.wasted(id, "unasked", Tokens(1_000, 10), 2.0)
    began, used = happened(one)
    assert (began.preview, began.tools, began.tokens) == (id, ("search",), 1_100)
    assert (used.joined, used.hidden_s) == (True, 0.5)


def test_what_is_open_counts_as_if_it_were_wasted():
    """
    Two at a time cannot exceed together what each of them keeps to.
    """
    one = session(economy=Economy(stakes=stakes(max_wasted_tokens_per_run=2_000)))
    first = one.previews.begin(bet(), 0.0)
    assert first is not None
    assert one.previews.begin(bet(), 0.0) is None
    one.previews.used(first, 0.5, False, 1.0)
    second = one.previews.begin(bet(), 1.0)
    assert second is not None
    one.previews.wasted(second, "result", Tokens(1_000, 0), 2.0)
    assert one.previews.begin(bet(), 3.0) is None
    told = happened(one)
    assert [event.reason for event in told if isinstance(event, events.PreviewRefused)] == [
        "max_wasted_tokens_per_run"
    ] * 2
    assert told[-2].cost == pytest.approx(0.003)


@pytest.mark.parametrize(("level", "blocked", "may"), [("declared", None, True), ("shadow", None, False)])
def test_nothing_begins_where_nothing_may_run_ahead(level: str, blocked: str | None, may: bool):
    """
    In shadow mode, and where the graph is blocked.
    """
    assert session(level, blocked).previews.may_begin is may
    assert not session("declared", "an approval").previews.may_begin


def test_a_crowded_process_starts_none():
    """
    Previews count among all that runs ahead in it.
    """
    one = session(economy=Economy(in_process=lambda: 9), max_in_process=9)
    assert one.previews.begin(bet(), 0.0) is None
    assert happened(one)[-1].reason == "max_in_process"
