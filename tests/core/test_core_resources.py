"""Which writes make which reads stale: never one too few, whatever overlaps, nests or is forgotten."""

from __future__ import annotations

import enum
from collections import Counter
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from langgraph_speculate.core import resources
from langgraph_speculate.core.resources import Epochs, overlap, render
from langgraph_speculate.policy.templates import filled

TAGS = ["*", "order:*", "order:7", "order:77", "order:7*", "order:8", "stock:*", "stock", "stock:", "", "o*", "s"]
tags = st.sampled_from(TAGS)
some_tags = st.frozensets(tags, max_size=3)


def names(tag: str, resource: str) -> bool:
    """Whether a tag names that one concrete resource."""
    return resource.startswith(tag[:-1]) if tag.endswith("*") else resource == tag


RESOURCES = ["", "o", "order:", "order:7", "order:77", "order:7*", "order:78", "order:8", "stock", "stock:", "s", "x"]


# -- tags --------------------------------------------------------------------------------------------------------------


@given(st.text("ab*", max_size=4), st.text("ab*", max_size=4))
def test_overlap_is_symmetric_and_reflexive(left: str, right: str):
    """
    Who reads and who writes makes no difference.
    """
    assert overlap(left, right) is overlap(right, left)
    assert overlap(left, left)
    assert overlap("*", left)


@given(st.text("ab*", max_size=4), st.text("ab*", max_size=4), st.text("ab", max_size=6))
def test_tags_that_name_one_resource_overlap(left: str, right: str, resource: str):
    """
    If there is any resource both can mean, the answer is yes.
    """
    if names(left, resource) and names(right, resource):
        assert overlap(left, right)


@given(st.text("ab", max_size=3), st.text("ab", max_size=3))
def test_tags_that_name_nothing_in_common_do_not_overlap(left: str, right: str):
    """
    Without stars, only the same tag is the same resource; with one, beginnings decide.
    """
    assert overlap(left, right) is (left == right)
    assert overlap(left + "*", right) is fnmatchcase(right, left + "*")


@pytest.mark.parametrize(
    ("templates", "args", "filled"),
    [
        ([], {}, set()),
        (["stock"], {}, {"stock"}),
        (["order:{id}"], {"id": 7}, {"order:7"}),
        (["order:{id}"], {"id": "7"}, {"order:7"}),
        (["order:{id}"], {"id": 7.0}, {"order:7"}),
        (["order:{id}"], {"id": 7.5}, {"order:7.5"}),
        (["order:{id}"], {"id": None}, {"*"}),
        (["order:{id}"], {}, {"*"}),
        (["order:{id}"], {"id": [7]}, {"*"}),
        (["order:{id}"], {"id": {"id": 7}}, {"*"}),
        (["order:{id}"], {"id": b"7"}, {"*"}),
        (["order:{id}"], {"id": "{id}"}, {"order:{id}"}),
        (["order:{id}*"], {"id": 7}, {"order:7*"}),
        (["a:{x}:{y}", "stock:*"], {"x": 1, "y": 2}, {"a:1:2", "stock:*"}),
        (["a:{x}", "b:{y}"], {"x": 1}, {"a:1", "*"}),
        (["order:{id}"], {"id": "*"}, {"order:*"}),
        (["order:{id}"], {"id": float("inf")}, {"order:inf"}),
    ],
)
def test_templates_are_filled_or_mean_everything(templates: list[str], args: dict[str, Any], filled: set[str]):
    """
    Where an argument is missing or no plain value, nobody knows what is touched: everything.
    """
    assert render(templates, args) == filled


class Region(str, enum.Enum):  # noqa: UP042 - the older spelling is what most tools have
    NORTH = "north"


class Shelf(int, enum.Enum):
    TOP = 3


@pytest.mark.parametrize(("member", "plain"), [(Region.NORTH, "north"), (Shelf.TOP, 3)])
def test_a_value_is_one_resource_whether_a_tool_takes_it_as_an_enum_or_plainly(member: Any, plain: Any):
    """
    The reading tool may declare an enum and the writing one a text; a write must still make the read stale.
    """
    (read,), (written,) = render(["stock:{where}"], {"where": member}), render(["stock:{where}"], {"where": plain})
    assert overlap(read, written)


SAME = [
    *([1, True, 1.0, "1", "true", "True", " 1 ", "+1", "01", "1.0"], [0, False, -0.0, "0", "false", "-0", "0.0 "]),
    *([7, "7", "007", 7.0, "\t7\n", "7e0"], ["north", " north"], [7.5, "7.5"], [10**20, float(10**20)]),
]


@pytest.mark.parametrize("spelled", SAME, ids=str)
def test_values_that_a_schema_may_take_for_one_another_are_one_resource(spelled: list[Any]):
    """
    One tool takes a flag, the other a number or a text: a write of either makes a read of the other stale.
    """
    for left in spelled:
        for right in spelled:
            read, written = render(["shop:{it}"], {"it": left}), render(["shop:{it}"], {"it": right})
            assert any(overlap(mine, other) for mine in read for other in written), (left, right)


@given(st.sampled_from(["{a}", "x:{a}", "x:{a}*", "x:{a}/{b}"]), st.data())
def test_other_spellings_only_add_to_what_a_template_names(template: str, data: st.DataObject):
    """
    What a template is filled with stays among its resources, so no overlap is lost: `file:01/x` lies in `file:01/*`.
    """
    texts = st.one_of(st.text(max_size=4), st.sampled_from(["01", " 1", "true", "+1", "1_0", "inf", "nan", "1e999"]))
    args = data.draw(st.fixed_dictionaries({"a": texts | st.integers() | st.booleans() | st.floats(), "b": texts}))
    assert filled(template, args) in render([template], args)


def test_a_number_too_long_for_text_means_everything():
    """
    Filling a template never raises: a write that cannot be named counts as writing everything.
    """
    assert render(["order:{id}"], {"id": 10**5000}) == {"*"}


def test_a_text_that_shows_something_else_names_what_it_is():
    """
    A subclass with a text of its own (a masked secret, say) is the resource that its value names.
    """

    class Unprintable(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert render(["order:{id}"], {"id": Unprintable("7")}) == {"order:7"}


def test_a_text_that_shows_itself_differently_is_the_resource_it_is():
    """
    A masked id in the reading tool and a plain one in the writing tool are one resource.
    """

    class Masked(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "***"

    (read,), (written,) = render(["order:{id}"], {"id": Masked("7")}), render(["order:{id}"], {"id": "7"})
    assert overlap(read, written)


# -- epochs, by example ------------------------------------------------------------------------------------------------


def test_a_write_counts_when_it_starts_and_again_when_it_ends():
    """
    A read that began during a write may have seen half of it.
    """
    epochs, tag = Epochs(), frozenset({"order:7"})
    before = epochs.now
    epochs.begin_write(tag)
    during = epochs.now
    assert epochs.changed(tag, since=before)
    assert not epochs.changed(tag, since=during)
    epochs.end_write(tag)
    assert epochs.changed(tag, since=during)
    assert not epochs.changed(tag, since=epochs.now)


def test_writes_to_one_tag_nest():
    """
    Two writers at once: the first to end does not open the way for readers.
    """
    epochs, tag = Epochs(), frozenset({"order:7"})
    epochs.begin_write(tag)
    epochs.begin_write(tag)
    epochs.end_write(tag)
    assert epochs.writing(tag)
    epochs.end_write(tag)
    assert not epochs.writing(tag)


def test_an_end_without_a_beginning_opens_nothing():
    """
    Ending once too often does not cancel the next write.
    """
    epochs, tag = Epochs(), frozenset({"order:7"})
    epochs.end_write(tag)
    epochs.begin_write(tag)
    assert epochs.writing(tag)


@pytest.mark.parametrize("writes", [set(), {"stock"}, {"order:8", "stock:*"}])
def test_other_resources_do_not_matter(writes: set[str]):
    """
    What was not read may change freely.
    """
    epochs = Epochs()
    epochs.begin_write(frozenset(writes))
    assert not epochs.changed(frozenset({"order:7"}), since=0)
    assert not epochs.writing(frozenset({"order:7"}))


def test_who_reads_nothing_is_never_stale():
    """
    A calculator stays right whatever is written.
    """
    epochs = Epochs()
    epochs.begin_write(frozenset({"*"}))
    assert not epochs.changed(frozenset(), since=0)
    assert not epochs.writing(frozenset())


def test_forgetting_makes_old_reads_stale_and_no_new_ones_fresh():
    """
    After more tags than are remembered, an old read counts as changed, and later writes are still seen.
    """
    epochs, mine = Epochs(), frozenset({"mine"})
    before = epochs.now
    for number in range(resources._MAX_TAGS + 1):
        epochs.begin_write(frozenset({f"other:{number}"}))
        epochs.end_write(frozenset({f"other:{number}"}))
    assert epochs.changed(mine, since=before)
    assert not epochs.changed(frozenset(), since=before)
    after = epochs.now
    assert not epochs.changed(mine, since=after)
    epochs.begin_write(mine)
    assert epochs.changed(mine, since=after)


def test_only_what_was_written_since_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    """
    A read of a moment ago is compared with the writes of that moment, not with the thousands before it.
    """
    epochs, looked = Epochs(), []
    for number in range(1000):
        epochs.begin_write(frozenset({f"order:{number}"}))
    before = epochs.now
    epochs.begin_write(frozenset({"order:3"}))  # written before, and again
    monkeypatch.setattr(resources, "_touches", lambda tags, tag: looked.append(tag) or tag in tags)
    assert not epochs.changed(frozenset({"order:7"}), since=before)
    assert looked == ["order:3"]
    assert epochs.changed(frozenset({"order:3"}), since=before)
    assert epochs.changed(frozenset({"order:7"}), since=7)


def test_a_write_that_is_under_way_is_never_forgotten():
    """
    Only what has ended makes room.
    """
    epochs, mine = Epochs(), frozenset({"mine"})
    epochs.begin_write(mine)
    for number in range(3 * resources._MAX_TAGS):
        epochs.begin_write(frozenset({f"other:{number}"}))
    assert epochs.writing(mine)


def test_memory_is_bounded_by_the_tags_that_are_remembered():
    """
    A server that writes a new order a second runs for years.
    """
    epochs = Epochs()
    for number in range(3 * resources._MAX_TAGS):
        tag = frozenset({f"order:{number}"})
        epochs.begin_write(tag)
        epochs.end_write(tag)
    assert len(epochs._bumped) <= resources._MAX_TAGS
    assert not epochs._writing


# -- epochs, against a list of everything that happened ----------------------------------------------------------------


class EpochsAgainstAList(RuleBasedStateMachine):
    """Every start and end of a write, kept for ever, says what an answer may be."""

    reads = Bundle("reads")
    writes = Bundle("writes")

    def __init__(self) -> None:
        super().__init__()
        self.epochs = Epochs()
        self.happened: list[frozenset[str]] = []
        self.open: Counter[frozenset[str]] = Counter()

    @rule(target=reads, read=some_tags)
    def begin_read(self, read: frozenset[str]) -> tuple[frozenset[str], int, int]:
        return read, self.epochs.now, len(self.happened)

    @rule(target=writes, written=some_tags)
    def begin_write(self, written: frozenset[str]) -> frozenset[str]:
        self.epochs.begin_write(written)
        self.happened.append(written)
        self.open[written] += 1
        return written

    @rule(written=consumes(writes))
    def end_write(self, written: frozenset[str]) -> None:
        self.epochs.end_write(written)
        self.happened.append(written)
        self.open[written] -= 1

    @rule(read=reads)
    def ask_whether_it_changed(self, read: tuple[frozenset[str], int, int]) -> None:
        tags_read, epoch, length = read
        truth = any(self.overlapping(tags_read, written) for written in self.happened[length:])
        self.compare(self.epochs.changed(tags_read, since=epoch), truth, tags_read)

    def compare(self, answer: bool, truth: bool, tags_read: frozenset[str]) -> None:
        assert answer is truth

    @rule(read=some_tags)
    def ask_whether_it_is_being_written(self, read: frozenset[str]) -> None:
        truth = any(self.overlapping(read, written) for written, count in self.open.items() if count)
        assert self.epochs.writing(read) is truth

    @invariant()
    def time_never_goes_back(self) -> None:
        assert self.epochs.now >= len([written for written in self.happened if written])

    @staticmethod
    def overlapping(left: frozenset[str], right: frozenset[str]) -> bool:
        return any(names(a, resource) and names(b, resource) for a in left for b in right for resource in RESOURCES)


class ForgetfulEpochs(EpochsAgainstAList):
    """The same with room for two tags: answers may err, but only towards changed."""

    def __init__(self) -> None:
        super().__init__()
        self.remembered = resources._MAX_TAGS
        resources._MAX_TAGS = 2

    def teardown(self) -> None:
        resources._MAX_TAGS = self.remembered

    def compare(self, answer: bool, truth: bool, tags_read: frozenset[str]) -> None:
        assert answer or not truth
        assert tags_read or not answer


TestEpochs = EpochsAgainstAList.TestCase
TestForgetfulEpochs = ForgetfulEpochs.TestCase
