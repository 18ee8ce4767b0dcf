"""When two calls are the same: whatever a tool can see counts, and no value can break the comparison."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import itertools
import math
import random
import struct
import subprocess
import sys
import types
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel

from langgraph_speculate.core.calls import Call, Outcome, size_of
from langgraph_speculate.core.canonical import canonical_key
from langgraph_speculate.errors import SpeculateError, UnkeyableArguments


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    RED = "red"


class Marks(enum.IntFlag):
    BOLD = 1
    ITALIC = 2


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Pair(tuple):
    __slots__ = ()


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True)
class Span:
    start: Any
    end: Any = None


@dataclasses.dataclass
class Range:
    start: Any
    end: Any = None


class Filter(BaseModel):
    status: Any = None
    limit: int = 10


class OtherFilter(BaseModel):
    status: Any = None
    limit: int = 10


class Ids(RootModel[list[int]]):
    pass


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclasses.dataclass
class Titled(dict[str, Any]):
    title: str = ""


class Status(enum.Enum):
    OPEN = "open"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> Status:
        made = object.__new__(cls)
        made._name_, made._value_ = "UNKNOWN", value
        return made


class Kind(enum.StrEnum):
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> Kind:
        made = str.__new__(cls, value)
        made._name_, made._value_ = "OTHER", "other"
        return made


class Money(str):
    __slots__ = ("currency",)


class Day(date):
    pass


@dataclasses.dataclass
class Scaled:
    x: int
    scale: dataclasses.InitVar[int]

    def __post_init__(self, scale: int) -> None:
        self.area = self.x * scale


@dataclasses.dataclass
class SlottedScale(Scaled):
    __slots__ = ("area",)
    x: int
    scale: dataclasses.InitVar[int]


class Length(BaseModel):
    x: int
    _unit: str = PrivateAttr("m")


class Missing(enum.Enum):
    YES = object()
    NO = object()


class Explosive:
    """Breaks in whatever way it is looked at."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __len__(self) -> int:
        raise RuntimeError("no length")


def key(value: Any) -> str:
    return canonical_key("tool", {"value": value})


# -- an independent idea of sameness -----------------------------------------------------------------------------------


def fingerprint(value: Any) -> Any:
    """Hashable, equal exactly where a tool would receive the same value; written without a look at the encoding."""
    kind = type(value)
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, Mapping):
        return "mapping", tuple((fingerprint(name), fingerprint(item)) for name, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):  # sets in the order in which they are gone through
        return kind, tuple(fingerprint(item) for item in value)
    if isinstance(value, bytearray):
        return kind, bytes(value)
    if isinstance(value, Decimal | date | time | complex):  # their equality overlooks zones, folds and signs of zero
        return kind, repr(value)
    if dataclasses.is_dataclass(value):
        return kind, tuple(fingerprint(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, BaseModel):
        return kind, tuple(fingerprint(item) for _, item in sorted(value.__dict__.items()))
    return kind, value


LEAVES: list[Any] = [
    None,
    *(False, True, 0, 1, -1, 10, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**300),
    *(0.0, -0.0, 1.0, -1.0, 10.0, 2.0**53, 2.0**63, 1e300, 5e-324, math.nan, math.inf, -math.inf),
    *("", "0", "1", "1.0", "-0.0", "true", "True", "null", "None", "nan", "inf", "[]", "{}", "()", "31", "\x00"),
    *("\ud800", "\udfff", "\U0010ffff", "d800", "00d8", "9223372036854775808", "builtins.int", "parts", "é", "e\u0301"),
    *(b"", b"1", b"\x00", bytearray(), bytearray(b"1")),
    *(Colour.RED, Colour.BLUE, Size.RED, Level.LOW, Word.RED, Marks.BOLD, Marks.BOLD | Marks.ITALIC, "RED", "red"),
    *(Text("1"), Text(""), Whole(1), Whole(0), Real(1.0), Real("nan")),
    *(date(2024, 1, 2), datetime(2024, 1, 2), datetime(2024, 1, 2, fold=1), datetime(2024, 1, 2, tzinfo=UTC)),
    *(datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=1))), datetime(2024, 1, 2, tzinfo=ZoneInfo("UTC"))),
    *(time(1, 2), time(1, 2, tzinfo=UTC), timedelta(0), timedelta(days=1), "2024-01-02", "2024-01-02T00:00:00"),
    *(Decimal("1"), Decimal("1.0"), Decimal("NaN"), Decimal("-0"), Decimal("0")),
    *(uuid.UUID(int=1), str(uuid.UUID(int=1))),
    *(PurePosixPath("a"), PurePosixPath("."), 1j, complex(0, -0.0), complex(-0.0, 0.0), 0j),
]
HASHABLE = [leaf for leaf in LEAVES if not isinstance(leaf, bytearray)]


def containers_of(items: list[Any]) -> list[Any]:
    """Every small container of those items, and the encodings a naive format would confuse with them."""
    made: list[Any] = [[], (), {}, set(), frozenset(), Pair(), [[]], [()], ([],), ((),), {"": {}}]
    for item in items:
        made += [[item], (item,), Pair((item,)), [[item]], {"a": item}, {"parts": item}, {"\x00": item}, Span(item)]
        made += [Span(None, item), Range(item), Filter(status=item), OtherFilter(status=item), Point(item, None)]
        made += [{"\x00": "builtins.tuple", "parts": [item]}, {"\x00": "builtins.dict", "parts": [["a", item]]}]
        if not isinstance(item, bytearray):
            made += [{item}, frozenset({item}), {item: None}, {item: "a"}, {(item,): None}, {None: item}]
    made += [list(pair) for pair in itertools.product(items[:24], repeat=2)]
    made += [tuple(pair) for pair in itertools.product(items[:12], repeat=2)]
    return made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
python_values = st.recursive(
    st.sampled_from(LEAVES) | json_values | st.binary(max_size=3) | st.dates() | st.datetimes() | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=2).map(Pair)
        | st.sets(st.sampled_from(HASHABLE), max_size=3)
        | st.frozensets(st.sampled_from(HASHABLE), max_size=3)
        | st.dictionaries(st.sampled_from(HASHABLE), inner, max_size=3)
        | st.dictionaries(st.sampled_from(["", "a", "\x00", "\x00a", "parts", "\ud800"]), inner, max_size=3)
        | st.builds(Span, inner, inner)
        | st.builds(Filter, status=inner)
    ),
    max_leaves=10,
)


# -- different values, different keys ----------------------------------------------------------------------------------


def test_no_two_small_values_share_a_key():
    """
    Every pair out of thousands of leaves, containers and look-alikes of the encoding itself is kept apart.
    """
    seen: dict[str, Any] = {}
    for value in [*LEAVES, *containers_of(LEAVES)]:
        found = seen.setdefault(key(value), value)
        assert fingerprint(found) == fingerprint(value), (found, value)


def test_equal_small_values_share_a_key():
    """
    The other direction: what a tool cannot tell apart has one key, however it was built.
    """
    keys: dict[Any, str] = {}
    for value in [*LEAVES, *containers_of(LEAVES), *containers_of(list(reversed(LEAVES)))]:
        found = keys.setdefault(fingerprint(value), key(value))
        assert found == key(value), value


@given(python_values, python_values)
@example({"\x00": "builtins.tuple", "parts": [1]}, (1,))
@example({"\ud800": 1}, {"\udfff": 1})
@example([1, 2], [12])
def test_two_values_share_a_key_exactly_when_they_are_the_same(left: Any, right: Any):
    """
    The key is injective over nested Python values, and nothing but the value decides about it.
    """
    assert (key(left) == key(right)) is (fingerprint(left) == fingerprint(right))


@given(json_values, st.data())
def test_changing_one_place_changes_the_key(value: Any, data: st.DataObject):
    """
    A difference shows however deep it lies.
    """
    places = list(paths(value))
    path = data.draw(st.sampled_from(places))
    changed = replaced(value, path, data.draw(st.sampled_from(LEAVES)))
    assume(fingerprint(changed) != fingerprint(value))
    assert key(changed) != key(value)


def paths(value: Any) -> Any:
    yield ()
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        yield from ((name, *rest) for rest in paths(item))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (1, "1"),
        (0.0, -0.0),
        (0, -0.0),
        (None, "null"),
        (None, "None"),
        ([1], (1,)),
        ({1}, frozenset({1})),
        (b"a", "a"),
        (b"a", bytearray(b"a")),
        (2**63, str(2**63)),
        (2**63, float(2**63)),
        (math.nan, "nan"),
        (math.nan, None),
        (math.inf, None),
        (math.inf, -math.inf),
        ("red", Word.RED),
        (1, Level.LOW),
        (Colour.RED, Size.RED),
        (Colour.RED, 1),
        ("1", Text("1")),
        (1, Whole(1)),
        (date(2024, 1, 2), "2024-01-02"),
        (date(2024, 1, 2), datetime(2024, 1, 2)),
        (Span(1), Range(1)),
        (Span(1), {"start": 1, "end": None}),
        (Filter(status=1), OtherFilter(status=1)),
        (Filter(status=1), {"status": 1, "limit": 10}),
        (Point(1, 2), (1, 2)),
        ({1: 2}, {"1": 2}),
        ({1: 2}, {1.0: 2}),
        ({1: 2}, [[1, 2]]),
        ({"a": None}, {}),
        ([], {}),
        ([], ()),
        ("é", "e\u0301"),
        ("a\ud800", "a\ud801"),
        (Decimal("1.0"), Decimal("1.00")),
        (Ids([1]), Ids([2])),
    ],
    ids=repr,
)
def test_values_that_only_look_alike_have_different_keys(left: Any, right: Any):
    """
    A tool would see the difference, so the key shows it.
    """
    assert key(left) != key(right)


def test_the_tools_name_is_part_of_the_key():
    """
    The same arguments for another tool are another call, and names cannot leak into arguments.
    """
    names = ["a", "b", "", "a\x00", '","', "a,{}"]
    assert len({canonical_key(name, {}) for name in names}) == len(names)
    assert canonical_key("a", {"b": 1}) != canonical_key("ab", {"": 1})


def test_flags_without_a_name_are_told_apart():
    """
    `IntFlag(8)` and `IntFlag(16)` are different numbers, though neither has a name.
    """
    assert key(Marks(8)) != key(Marks(16))


@pytest.mark.parametrize("base", [str, int, float])
def test_a_subclass_cannot_hide_its_value_behind_its_repr(base: type):
    """
    Masked values (secrets, long texts) are different calls where their values differ.
    """
    masked = type("Masked", (base,), {"__repr__": lambda self: "***"})
    assert key(masked("1")) != key(masked("2"))


def test_extra_fields_of_a_model_count():
    """
    A model that allows extra fields hands them to the tool, so they are part of the call.
    """
    assert key(Open(a=1)) != key(Open(a=2))


def test_a_field_left_out_is_not_a_field_set_to_its_default():
    """
    A tool that looks at `model_fields_set` or dumps with `exclude_unset` receives different arguments.
    """
    assert Filter().model_dump(exclude_unset=True) != Filter(status=None).model_dump(exclude_unset=True)
    assert key(Filter()) != key(Filter(status=None))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({}, collections.defaultdict(int)),
        ({"a": 1}, collections.Counter("a")),
        (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
        (Titled(title="a"), Titled(title="b")),
    ],
    ids=["defaultdict", "Counter", "OrderedDict", "dict with fields"],
)
def test_a_mapping_of_a_kind_of_its_own_keeps_its_type(left: Any, right: Any):
    """
    Subclasses answer differently and hold more than their items, like those of every other type.
    """
    assert key(left) != key(right)


def test_a_member_of_an_enum_is_told_by_its_name():
    """
    Values of members may be sentinels or functions; which member it is, is known nevertheless.
    """
    assert key(Missing.YES) == key(Missing.YES)
    assert key(Missing.YES) != key(Missing.NO)


def test_members_that_an_enum_makes_up_are_told_apart():
    """
    An open enum calls everything that it does not know by one name, and may keep what it was told elsewhere.
    """
    assert key(Status("lost")) != key(Status("late"))
    assert key(Status("lost")) == key(Status("lost"))
    assert key(Status("unknown")) != key(Status("lost"))
    assert key(Kind("a")) != key(Kind("b"))


@pytest.mark.parametrize("kind", [Text, Whole, Real, Money, Day], ids=lambda kind: kind.__name__)
def test_what_a_derived_value_holds_beside_counts(kind: type):
    """
    An amount with its currency is one value to a tool that looks at both.
    """
    plain, *others = (kind(2024, 1, 2) if kind is Day else kind("1") for _ in range(3))
    for currency, one in zip(("EUR", "USD"), others, strict=True):
        with contextlib.suppress(AttributeError):  # a text that can hold nothing
            one.currency = currency
    different = 1 if kind is Text else 3
    assert len({key(plain), *map(key, others)}) == different


def test_what_a_dataclass_was_made_with_counts():
    """
    An `InitVar` is no field, but what came of it is there.
    """
    assert key(Scaled(2, 3)) != key(Scaled(2, 5))
    assert key(Scaled(2, 3)) == key(Scaled(2, 3))
    assert key(SlottedScale(2, 3)) != key(SlottedScale(2, 5))


def test_private_attributes_of_a_model_count():
    """
    A validator that keeps a unit there hands it to the tool.
    """
    metres, miles = Length(x=1), Length(x=1)
    miles._unit = "mi"
    assert key(metres) != key(miles)


def test_items_of_a_dict_with_fields_count():
    """
    It is a dict and a dataclass, and both hold something.
    """
    one, other = Titled(title="a"), Titled(title="a")
    other["x"] = 1
    assert key(one) != key(other)


# -- equal values, one key ---------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_arguments_does_not_matter(args: dict[str, Any], shuffler: random.Random):
    """
    Models write arguments in any order.
    """
    names = list(args)
    shuffler.shuffle(names)
    assert canonical_key("tool", args) == canonical_key("tool", {name: args[name] for name in names})


@given(st.dictionaries(st.sampled_from(HASHABLE), json_values, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_nested_keys_of_any_kind_counts(mapping: dict[Any, Any], shuffler: random.Random):
    """
    `ORDER BY` is built from such a dict. Also of keys that are no text, begin with NUL or cannot be encoded.
    """
    names = list(mapping)
    shuffler.shuffle(names)
    shuffled = {"a": {name: mapping[name] for name in names}}
    assert (key({"a": mapping}) == key(shuffled)) is (names == list(mapping))


@given(st.sets(st.sampled_from(HASHABLE)), st.randoms(use_true_random=False))
def test_the_order_of_a_set_counts_where_it_can_be_seen(items: set[Any], shuffler: random.Random):
    """
    Sets iterate in an order that may depend on how they grew, and a tool may print it.
    """
    shuffled = list(items)
    shuffler.shuffle(shuffled)
    grown = set(shuffled)
    assert (key(items) == key(grown)) is (list(map(fingerprint, items)) == list(map(fingerprint, grown)))


def test_a_set_that_grew_another_way_is_another_value():
    """
    0 and 8 share a place in a small set: the first to come is the first to be gone through.
    """
    assert key(set(range(0, 9, 8))) != key(set(range(8, -1, -8)))


@given(python_values)
def test_a_value_always_has_the_same_key(value: Any):
    """
    Asking twice, or asking about the same arguments held differently, gives one answer.
    """
    assert key(value) == key(value)
    assert canonical_key("tool", types.MappingProxyType({"value": value})) == key(value)


def test_keys_are_the_same_in_every_process():
    """
    Nothing but the order of sets depends on hash seeds or addresses, so patterns learned elsewhere still match.
    """
    code = (
        "from langgraph_speculate.core.canonical import canonical_key as key; from datetime import date;"
        "print(key('t', {'a': ['x', {'z'}, 1, 2.5, None, date(2024, 1, 2)], 'b': {1: 2, 'c': (3,)}}))"
    )
    keys = set()
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path)) or "."}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        keys.add(run.stdout.strip())
    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_making_a_key_changes_nothing():
    """
    Arguments belong to the caller.
    """
    args = {"b": [1, {"z": {3, 4}}], "a": (1, 2)}
    before = repr(args)
    canonical_key("tool", args)
    assert repr(args) == before


# -- hostile values ----------------------------------------------------------------------------------------------------


def cycle_of_lists() -> Any:
    ring: list[Any] = []
    ring.append([ring])
    return ring


def cycle_of_dicts() -> Any:
    ring: dict[str, Any] = {}
    ring["a"] = {"b": ring}
    return ring


def cycle_of_dataclasses() -> Any:
    ring = Range(None)
    ring.start = ring
    return ring


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = wrap(value)
    return value


class Keyless(Mapping[str, Any]):
    """A mapping that says it has something and then fails to show it."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Unreadable(Mapping[str, Any]):
    """A mapping behind a connection that has gone away."""

    def __getitem__(self, name: str) -> Any:
        raise OSError("gone")

    def __iter__(self) -> Any:
        raise OSError("gone")

    def __len__(self) -> int:
        return 1


class Lying:
    """A proxy whose class cannot be asked for."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no class")


class Unprintable(str):
    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Worse(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no message")


class Failing(dict[str, Any]):
    def items(self) -> Any:
        raise Worse


def half_made_dataclass() -> Any:
    return Range.__new__(Range)


def half_made_model() -> Any:
    return Filter.__new__(Filter)


UNKEYABLE: dict[str, Callable[[], Any]] = {
    "a cycle of lists": cycle_of_lists,
    "a cycle of dicts": cycle_of_dicts,
    "a cycle of dataclasses": cycle_of_dataclasses,
    "lists 10,000 deep": lambda: nested(10_000, lambda value: [value]),
    "dicts 10,000 deep": lambda: nested(10_000, lambda value: {"a": value}),
    "tuples 10,000 deep": lambda: nested(10_000, lambda value: (value,)),
    "dicts with odd keys 10,000 deep": lambda: nested(10_000, lambda value: {1: value}),
    "lists 300 deep, more than JSON's writer takes": lambda: nested(300, lambda value: [value]),
    "an object that raises wherever it is touched": Explosive,
    "one of those in a list": lambda: [Explosive()],
    "a plain object": object,
    "a function": lambda: len,
    "a class": lambda: int,
    "a generator": lambda: iter([1]),
    "a list subclass": lambda: type("Rows", (list,), {})([1]),
    "a memory view": lambda: memoryview(b"a"),
    "a module": lambda: math,
    "a number with more digits than text may have": lambda: 10**5000,
}
ESCAPES: dict[str, Callable[[], Any]] = {
    "a mapping without its own items": Keyless,
    "a mapping that cannot be read": Unreadable,
    "a proxy without a class": Lying,
    "an error without a message": lambda: Failing(a=1),
    "a dataclass that was never filled": half_made_dataclass,
    "a model that was never filled": half_made_model,
}


@pytest.mark.parametrize("make", UNKEYABLE.values(), ids=UNKEYABLE)
def test_what_has_no_canonical_form_is_unkeyable(make: Callable[[], Any]):
    """
    One exception says so, whatever the value tries; the caller counts it as a miss.
    """
    value = make()
    with pytest.raises(UnkeyableArguments):
        key(value)


@pytest.mark.parametrize("make", ESCAPES.values(), ids=ESCAPES)
def test_code_of_a_value_that_raises_makes_it_unkeyable(make: Callable[[], Any]):
    """
    Reading a value runs its own code, and whatever that raises means only that calls cannot be compared.
    """
    value = make()
    with pytest.raises(UnkeyableArguments):
        key(value)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", {"\ud800": 1}, ["\udc00\ud800"], {"\x00": 1}, {"\x00a": {}}])
def test_text_that_is_no_text_still_has_a_key(value: Any):
    """
    Lone surrogates and names that begin with NUL occur in what models write.
    """
    assert len(key(value)) == 32


def test_a_tool_name_that_cannot_be_encoded_is_unkeyable():
    """
    The message survives it, too.
    """
    with pytest.raises(UnkeyableArguments, match="ud800"):
        canonical_key("\ud800", {})


@pytest.mark.parametrize(
    "make", [lambda: 7, lambda: None, lambda: ("get",), Explosive, lambda: nested(5_000, lambda value: (value,))]
)
def test_a_tool_name_that_is_no_text_is_unkeyable(make: Callable[[], Any]):
    """
    It never reaches JSON's writer, which writes tuples past the end of its memory if they are nested deep enough.
    """
    name = make()
    with pytest.raises(UnkeyableArguments):
        canonical_key(name, {})


def test_a_tool_name_is_its_text_whatever_its_type_shows():
    """
    A kind of text that somebody derived names the same tool.
    """

    class Loud(str):
        def __str__(self) -> str:
            return self.upper()

    assert canonical_key(Loud("get"), {}) == canonical_key("get", {})


@given(
    st.recursive(
        st.sampled_from(LEAVES) | st.sampled_from([cycle_of_lists(), cycle_of_dicts(), object(), len, math]),
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=6,
    )
)
def test_only_one_exception_ever_comes_out(value: Any):
    """
    Keyable or not, nothing but `UnkeyableArguments` is raised.
    """
    with contextlib.suppress(UnkeyableArguments):
        assert len(key(value)) == 32


def test_unkeyable_arguments_can_be_caught_as_what_they_are():
    """
    A child of the package's one base, and a `ValueError` to whoever does not know the package.
    """
    assert issubclass(UnkeyableArguments, SpeculateError)
    assert issubclass(UnkeyableArguments, ValueError)


# -- calls and outcomes ------------------------------------------------------------------------------------------------


def test_calls_are_equal_when_their_keys_are():
    """
    Calls compare and hash by key, so they can be counted and looked up.
    """
    same = Call("get", {"a": 1, "b": 2}), Call("get", {"b": 2, "a": 1})
    assert same[0] == same[1]
    assert len({*same, Call("get", {"a": 1.0, "b": 2})}) == 2
    assert Call("get") != "get"
    assert Call("get") == Call("get", {})


def test_calls_that_cannot_be_compared_are_equal_to_themselves_alone():
    """
    They can be counted and looked up like others, and nothing is taken for one of them.
    """
    one, other = Call("get", {"a": object()}), Call("get", {"a": object()})
    assert one == one
    assert one != other
    assert one != Call("get")
    assert len({one, one, other}) == 2
    with pytest.raises(UnkeyableArguments):
        one.key  # noqa: B018 - raises


def test_a_call_asks_for_its_key_once():
    """
    Keys of large arguments are not made again at every comparison.
    """
    asked = []

    class Counted(Mapping[str, Any]):
        def __getitem__(self, name: str) -> Any:
            return 1

        def __iter__(self) -> Any:
            asked.append(1)
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    call = Call("get", Counted())
    first, seen = call.key, len(asked)
    assert (call.key, len(asked)) == (first, seen)


def test_a_call_is_frozen():
    """
    Nobody can give a call another name after it was compared.
    """
    with pytest.raises(dataclasses.FrozenInstanceError):
        Call("get").name = "set"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("outcome", "ok"),
    [
        (Outcome(), True),
        (Outcome(value=1), True),
        (Outcome(error=ValueError()), False),
        (Outcome(error=KeyboardInterrupt()), False),
        (Outcome(value=1, taint="interrupt"), False),
        (Outcome(value=1, taint=""), False),
    ],
)
def test_an_outcome_may_be_adopted_without_error_and_taint_only(outcome: Outcome, ok: bool):
    """
    An error is never adopted, nor a result that tripped a wire.
    """
    assert outcome.ok is ok


class Rowdy(list[Any]):
    """Its own code must not run."""

    def __len__(self) -> int:
        raise SystemExit

    def __iter__(self) -> Any:
        raise SystemExit


def test_the_keys_of_a_result_take_room_too() -> None:
    """
    A table by long texts is as large as a list of them.
    """
    assert size_of({"k" * 10_000: None}, 100_000) > 10_000


def test_measuring_a_result_runs_none_of_its_code() -> None:
    """
    What is made of a container of Python's is measured as that one, past its methods.
    """
    assert size_of(Rowdy(["abc", Rowdy("d")]), 1000) == size_of(["abc", ["d"]], 1000)
