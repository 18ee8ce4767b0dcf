"""Classes of ours for tools and models of other people's, and objects under them.

A subclass made here differs from its base by what it overrides and by nothing else that can be told. It is made past
everything that happens when somebody writes a subclass: a registry of tools would take it in, or refuse the name.
"""

from __future__ import annotations

import functools
from abc import ABCMeta
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet, ref

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from langgraph_speculate.host.compat.tools import set_class

_PLAIN_SIZES = {BaseTool.__basicsize__, BaseChatModel.__basicsize__}
Thing = TypeVar("Thing", BaseTool, BaseChatModel)

# Kept outside of the classes, where nobody finds it on the objects.
_BASES: WeakKeyDictionary[type, type] = WeakKeyDictionary()


class Overriding(Generic[Thing]):
    """The classes made here with certain overrides, one for each class of an owner's.

    A class that is made in a function goes when nobody has it any more, and so does what is made of it here: it is held
    by the objects under it alone, for it would itself hold on to what it is made of.

    Args:
        overrides: What is overridden in a class.
    """

    def __init__(self, overrides: Callable[[type[Thing]], Mapping[str, Any]]) -> None:
        self._overrides: Callable[[type[Thing]], Mapping[str, Any]] = overrides
        self._made: WeakKeyDictionary[type, ref[type[Thing]]] = WeakKeyDictionary()
        self._ours: WeakSet[type] = WeakSet()

    def has(self, thing: Thing) -> bool:
        """Whether a tool or model is under one of them."""
        return any(kind in self._ours for kind in type(thing).__mro__)

    def view(self, thing: Thing) -> Thing:
        """*thing* to be called instead, under one of them; *thing* itself stays as it is, if the two can share all."""
        return thing if self.has(thing) else under(thing, self._of(type(thing)))

    def put_on(self, thing: Thing) -> None:
        """Put *thing* itself under one of them, for nodes that hold on to the object."""
        if not self.has(thing):
            set_class(thing, self._of(type(thing)))

    def _of(self, kind: type[Thing]) -> type[Thing]:
        known = self._made.get(kind)
        made = None if known is None else known()
        if made is None:
            made = subclass(kind, self._overrides(kind))
            self._ours.add(made)
            self._made[kind] = ref(made)
        return made


class _Ours:
    """What all subclasses made here have in common."""

    __slots__ = ()  # an object can be given another class only if that has the same layout

    def __init_subclass__(cls, **_: Any) -> None:
        """Nothing: what its base does about subclasses is meant for those that people write."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As its owner's object, which can be found by the name of its class, and where we may not be there."""
        reduced = super().__reduce_ex__(protocol)
        if not isinstance(reduced, tuple):
            return reduced
        ours, own = type(self), own_kind(self)
        maker, *given = (own if one is ours else one for one in (reduced[0], *reduced[1]))
        # Not as it is: pickle checks that what makes new objects is handed the class of this one.
        return functools.partial(maker, *given), (), *reduced[2:]


def subclass(kind: type[Thing], overrides: Mapping[str, Any]) -> type[Thing]:
    """A class that cannot be told from *kind* by its name, its module or what it serialises to."""
    namespace = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")} | dict(overrides)
    bases = (kind,) if kind in _BASES else (_Ours, kind)
    # Not by calling the metaclass: pydantic would work out fields and schemas once more, which are the base's.
    made = cast("type[Thing]", ABCMeta.__new__(cast("Any", type(kind)), kind.__name__, bases, namespace))
    _BASES[made] = kind
    return made


def own_kind(thing: Any) -> Any:
    """The class of a tool or a model as its owner knows it."""
    kind = type(thing)
    while kind in _BASES:
        kind = _BASES[kind]
    return kind


def under(thing: Thing, kind: type[Thing]) -> Thing:
    """The same tool or model under another class: whatever one of the two is changed to, the other is.

    Where two objects cannot share everything, it is *thing* itself that is put under that class.
    """
    if not _can_be_shared(thing):
        set_class(thing, kind)
        return thing
    view = object.__new__(kind)
    for slot in BaseModel.__slots__:
        object.__setattr__(view, slot, getattr(thing, slot))
    return view


def _can_be_shared(thing: BaseTool | BaseChatModel) -> bool:
    kind = type(thing)
    return (
        kind.__basicsize__ in _PLAIN_SIZES  # no slots of its own
        and all(hasattr(thing, slot) for slot in BaseModel.__slots__)  # it will not be given any later
        and not kind.model_config.get("validate_assignment")  # with it, each assignment makes a new `__dict__`
        and not hasattr(kind, "__del__")  # it would run for each of the two
    )
