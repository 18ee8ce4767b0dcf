"""What stands where a speculation must not go: whoever touches one of these taints its result.

All that a body is lent for its early run is `Lent`: none of it may leave the run in a result.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NoReturn, Self

Trip = Callable[[str], NoReturn]
"""Called with the name of what a speculation reached for: taints it and stops its body."""


class Tripwire(BaseException):
    """A speculation reached for something that only a real call may have.

    Not an Exception, so that a tool's own `except Exception` does not swallow it.
    """


class Lent:
    """What a body is lent for its early run, and what no result may hold on to."""

    __slots__ = ()


class Poison(Lent):
    """Stands where something forbidden would be: any use taints the speculation and stops its body."""

    __slots__ = ("_name", "_trip")

    def __init__(self, name: str, trip: Trip) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_trip", trip)

    def _use(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        trip: Trip = object.__getattribute__(self, "_trip")
        trip(object.__getattribute__(self, "_name"))

    def __getattribute__(self, name: str) -> Any:
        # isinstance() looks at __class__ on its way; a look at the type alone reveals nothing.
        return Poison if name == "__class__" else Poison._use(self)

    __call__ = __getitem__ = __setitem__ = __delitem__ = __contains__ = __iter__ = __len__ = _use
    __bool__ = __str__ = __repr__ = __format__ = __hash__ = __int__ = __float__ = __index__ = _use
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _use
    __setattr__ = __delattr__ = __enter__ = __exit__ = __await__ = __aenter__ = __aexit__ = _use


class Wired(Lent):
    """Mixed into a runtime for a speculation: to look at what it may not have trips a wire, even if only for None."""

    trip: Trip
    forbidden: frozenset[str] = frozenset()

    def wire(self, trip: Trip, forbidden: Iterable[str]) -> Self:
        """From now on *trip* is called with the name of each *forbidden* attribute that is looked at."""
        object.__setattr__(self, "trip", trip)  # runtimes may be frozen
        object.__setattr__(self, "forbidden", frozenset(forbidden))
        return self

    def __getattribute__(self, name: str) -> Any:
        if name in object.__getattribute__(self, "forbidden"):
            object.__getattribute__(self, "trip")(f"runtime.{name}")
        return object.__getattribute__(self, name)


class Watched(Lent, dict[Any, Any]):
    """The declared keys of a mapping; everything else about it trips a wire.

    Its values are kept aside. Code in C that reads a dict past its methods finds one entry that nothing can make sense
    of, and fails, which is as good as a wire.

    Args:
        name: What the mapping is, as a message names it.
        values: The values that there are.
        declared: All keys that may be asked for.
        trip: Called with a name when anything else is.
        remedy: What a message adds.
    """

    def __init__(
        self, name: str, values: Mapping[str, Any], declared: Collection[str], trip: Trip, remedy: str = ""
    ) -> None:
        super().__init__({object(): object()})
        self._name, self._remedy = name, remedy
        self._values, self._declared, self._trip = dict(values), frozenset(declared), trip

    def _may_ask(self, key: Any) -> dict[str, Any]:
        if key not in self._declared:
            self._trip(f"{self._name}[{key!r}]{self._remedy}")
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self._may_ask(key)[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a declared key."""
        return self._may_ask(key).get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._may_ask(key)

    def _whole(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        self._trip(f"{self._name} as a whole{self._remedy}")
        raise AssertionError  # no trip returns

    __iter__ = __len__ = __eq__ = __ne__ = __repr__ = __str__ = __format__ = __bool__ = __reversed__ = _whole
    __setitem__ = __delitem__ = __or__ = __ror__ = __ior__ = __reduce_ex__ = __copy__ = __deepcopy__ = _whole
    keys = values = items = copy = update = pop = popitem = setdefault = clear = _whole
    __hash__ = None
