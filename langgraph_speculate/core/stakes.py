"""What previews of model calls may cost: a bet of tokens for time, which is to pay.

    U = p * E[min(tool, model)] - (1 - p) * price of the tokens

A preview that is right hides so much of the model's call as passes while the tools run, and its tokens would have been
spent anyway. One that is wrong has read all of its input for nothing. All runs of a graph share one purse.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from langgraph_speculate.core.breaker import LEAST, Breaker, switched
from langgraph_speculate.core.events import Switched
from langgraph_speculate.core.latency import Latencies
from langgraph_speculate.core.worth import Prices, net, value
from langgraph_speculate.policy import Limits, TokenPrice

TOKEN_CHARS: Final = 4
"""Characters of text that a token takes, about."""
_HOUR_S: Final = 3600.0
_UNKNOWN_OUTPUT: Final = 200
"""Tokens that a model is thought to write of which nothing is known."""
_NEWEST: Final = 0.2  # how much the latest output weighs in the mean
_MODELS: Final = 64  # that are told apart
_OTHERS: Final = "other models"


class Objection(StrEnum):
    """Why a bet is not made."""

    WORTH = "worth"
    BREAKER = "breaker"
    CROWDED = "max_in_process"
    BUSY = "max_previews_per_model"
    RUN_TOKENS = "max_wasted_tokens_per_run"
    HOUR_TOKENS = "max_wasted_tokens_per_hour"


class Tokens(NamedTuple):
    """What a call of a model reads and writes.

    Attributes:
        input: Tokens that it reads.
        output: Tokens that it writes.
        cached: Those of the input that its provider has in its cache.
    """

    input: int
    output: int
    cached: int = 0

    @classmethod
    def counted(cls, usage: Any) -> Tokens | None:
        """What a provider counted, as LangChain's `usage_metadata` says it; None where that says nothing.

        >>> Tokens.counted({"input_tokens": 900, "output_tokens": 20, "input_token_details": {"cache_read": 512}})
        Tokens(input=900, output=20, cached=512)
        """
        read, written = (_count(usage, name) for name in ("input_tokens", "output_tokens"))
        return cls(read, written, _count(_field(usage, "input_token_details"), "cache_read")) if read else None

    @property
    def total(self) -> int:
        """All that count against a budget."""
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Bet:
    """A preview that could be started.

    Attributes:
        model: The model's name.
        tools: The tools that run meanwhile.
        probability: That all of their results are as expected.
        tokens: What it would read and write.
    """

    model: str
    tools: Sequence[str]
    probability: float
    tokens: Tokens


def _count(usage: Any, name: str) -> int:
    found = _field(usage, name)
    return found if isinstance(found, int) and found > 0 else 0


def _field(usage: Any, name: str) -> Any:
    return usage.get(name) if isinstance(usage, Mapping) else None


def _dear(_model: str) -> TokenPrice:
    return TokenPrice()


class Stakes:
    """What the previews of one graph may cost and do save.

    Args:
        prices: What money weighs against time.
        latencies: How long tools and models take.
        price_of: What a million tokens of a model cost, by its name.
        limits: The policy's.

    >>> stakes = Stakes()
    >>> likely = Bet("gpt", ["search"], 0.9, Tokens(1_000, 100))
    >>> stakes.objection(likely, spent=0, now=0.0) is None
    True
    >>> stakes.objection(Bet("gpt", ["search"], 0.1, Tokens(100_000, 100)), spent=0, now=0.0).value
    'max_wasted_tokens_per_run'
    """

    def __init__(
        self,
        prices: Prices | None = None,
        latencies: Latencies | None = None,
        price_of: Callable[[str], TokenPrice] = _dear,
        limits: Limits | None = None,
    ) -> None:
        self._prices = prices or Prices()
        self._latencies = latencies or Latencies()
        self._price_of = price_of
        self._limits = limits or Limits()
        self._running: Counter[str] = Counter()
        self._wasted: deque[tuple[float, int]] = deque()  # of the last hour: when, and how many tokens
        self._wasted_tokens = 0  # their sum, which each bet is weighed against
        self._models: set[str] = set()
        self._output: dict[str, float] = {}
        self._breakers: dict[str, Breaker] = {}
        self._switches: list[Switched] = []

    def objection(self, bet: Bet, spent: int, now: float) -> Objection | None:
        """Why a bet must not be made now, or None.

        Args:
            bet: The bet.
            spent: Tokens that its run has wasted so far, or may yet.
            now: Seconds on the monotonic clock.
        """
        total, limits = bet.tokens.total, self._limits
        if spent + total > limits.max_wasted_tokens_per_run:
            return Objection.RUN_TOKENS
        if self._wasted_within_an_hour(now) + total > limits.max_wasted_tokens_per_hour:
            return Objection.HOUR_TOKENS
        if self._running[self._name(bet.model)] >= limits.max_previews_per_model:
            return Objection.BUSY
        hides_s = max((self._latencies.overlap(tool, bet.model) for tool in bet.tools), default=0.0)
        if net(bet.probability, hides_s, self._prices.seconds(self.cost(bet.model, bet.tokens))) <= 0:
            return Objection.WORTH
        return Objection.BREAKER if self._refuses(bet.model, now) else None

    def cost(self, model: str, tokens: Tokens) -> float:
        """What tokens of a model cost."""
        return self._price_of(model).cost(*tokens)

    def writes(self, model: str) -> int:
        """About how many tokens a call of a model writes."""
        return round(self._output.get(self._name(model), _UNKNOWN_OUTPUT))

    def wrote(self, model: str, tokens: int) -> None:
        """A call of a model wrote so many tokens."""
        name = self._name(model)
        known = self._output.get(name, float(tokens))
        self._output[name] = known + _NEWEST * (tokens - known)

    def made(self, bet: Bet) -> None:
        """A bet is made."""
        self._running[self._name(bet.model)] += 1
        with self._watched(bet.model) as breaker:
            breaker.launched()

    def ended(self, bet: Bet) -> None:
        """Its call of the model is over, one way or another."""
        self._running[self._name(bet.model)] -= 1

    def won(self, bet: Bet, hidden_s: float, now: float) -> None:
        """A real call takes what it wrote, of which so many seconds had passed."""
        self._settled(bet.model, value(hidden_s=hidden_s, wasted_s=0.0, cost=0.0, prices=self._prices), now)

    def lost(self, bet: Bet, tokens: Tokens, now: float) -> None:
        """Nobody wants what it wrote."""
        self._wasted.append((now, tokens.total))
        self._wasted_tokens += tokens.total
        cost = self.cost(bet.model, tokens)
        self._settled(bet.model, value(hidden_s=0.0, wasted_s=0.0, cost=cost, prices=self._prices), now)

    def off(self, now: float) -> Iterator[tuple[str, Breaker]]:
        """Models none of whose previews are made for a while, as they cost more than they save."""
        return ((name, one) for name, one in self._breakers.items() if one.state == "off" and now < one.due)

    def take_switches(self) -> Sequence[Switched]:
        """Which models' previews went off and on since this was last asked."""
        switches, self._switches = self._switches, []
        return switches

    def _name(self, model: str) -> str:
        """What is known of a model goes by this: providers make up names without end, so the last share one."""
        if model not in self._models and len(self._models) >= _MODELS:
            return _OTHERS
        self._models.add(model)
        return model

    def _refuses(self, model: str, now: float) -> bool:
        with self._watched(model) as breaker:
            return breaker.refuses(now)

    def _settled(self, model: str, worth: float, now: float) -> None:
        with self._watched(model) as breaker:
            breaker.settled(worth, now)

    @contextmanager
    def _watched(self, model: str) -> Iterator[Breaker]:
        """The breaker of a model; if it goes off or on meanwhile, that is noted."""
        name = self._name(model)
        breaker = self._breakers.setdefault(name, Breaker(LEAST, self._limits.cool_down_s))
        before, worth, count = breaker.state, breaker.worth, breaker.count
        yield breaker
        if breaker.state != before:
            now_worth, now_count = (breaker.worth, breaker.count) if breaker.count else (worth, count)
            self._switches.append(switched("model", name, breaker, now_worth, now_count))

    def _wasted_within_an_hour(self, now: float) -> int:
        while self._wasted and self._wasted[0][0] <= now - _HOUR_S:
            self._wasted_tokens -= self._wasted.popleft()[1]
        return self._wasted_tokens
