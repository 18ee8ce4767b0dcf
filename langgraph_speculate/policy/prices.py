"""What tokens of a model cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from langgraph_speculate.policy import checks

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """What a million tokens of a model cost, in the currency of the policy's `value_per_second`.

    The defaults are those of a dear model, for models that nobody named.

    Attributes:
        input: Tokens that it reads.
        output: Tokens that it writes.
        cached_input: Tokens that it reads from its provider's cache; None for as much as others.

    Raises:
        PolicyError: A value is no amount of money.

    >>> TokenPrice(input=2.0, output=8.0, cached_input=0.5).cost(1_000, 100, cached=500)
    0.00205
    """

    input: float = 3.0
    output: float = 15.0
    cached_input: float | None = None

    CHECKS: ClassVar[Mapping[str, checks.Check]] = MappingProxyType(
        {"input": checks.amount, "output": checks.amount, "cached_input": checks.optional_amount}
    )

    def __post_init__(self) -> None:
        checks.refuse_any(checks.problems({name: getattr(self, name) for name in self.CHECKS}, self.CHECKS))

    def cost(self, input: int, output: int, cached: int = 0) -> float:
        """What a call costs that reads *input* tokens, *cached* of them from the cache, and writes *output*."""
        cached_input = self.input if self.cached_input is None else self.cached_input
        return ((input - cached) * self.input + cached * cached_input + output * self.output) / _MILLION


def token_price(entry: TokenPrice | Mapping[str, Any]) -> TokenPrice:
    """An entry of the policy's `token_prices` as a record."""
    return entry if isinstance(entry, TokenPrice) else TokenPrice(**entry)


def price_problems(prices: Any) -> Iterator[str]:
    """Yield what is wrong with a table of prices by names of models."""
    if not isinstance(prices, Mapping):
        yield f"token_prices: must be a table of prices by models, got {checks.shown(prices)}"
        return
    for name, entry in prices.items():
        path = checks.located("token_prices", name)
        if not isinstance(name, str) or not name:
            yield f"{path}: the name of a model is text, not empty"
        elif isinstance(entry, Mapping):
            yield from checks.problems(entry, TokenPrice.CHECKS, path)
        elif not isinstance(entry, TokenPrice):
            yield f"{path}: must be a table of prices, got {checks.shown(entry)}"
