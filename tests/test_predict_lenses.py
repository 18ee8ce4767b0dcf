"""Values that are found after a change: each lens has a test that fails without it."""

import pytest

from langgraph_speculate.core import Call
from langgraph_speculate.predict.blend import BlendedPredictor
from langgraph_speculate.predict.lenses import LENSES, undone
from langgraph_speculate.predict.words import patterns_in
from tests.lessons import best, history_of, taught


def told(value):
    return history_of("Go", ("look", {}, {"found": value, "of": 99_999}))


NUMBERS = [(1_208, 1_209), (7_715, 7_716), (4_041, 4_042), (9_338, 9_339)]
DAYS = [("2024-02-28", "2024-02-29"), ("2025-06-30", "2025-07-01"), ("2024-12-31", "2025-01-01")]
DAYS.append(("2026-03-07", "2026-03-08"))


@pytest.mark.parametrize(
    "pairs",
    [
        NUMBERS,
        [(after, before) for before, after in NUMBERS],
        DAYS,
        [(after, before) for before, after in DAYS],
        [(number, str(number)) for number, _ in NUMBERS],
        [(str(number), number) for number, _ in NUMBERS],
        [(f"#{number}", number) for number, _ in NUMBERS],
        [(f"SO-{number}", [f"SO-{number}"]) for number, _ in NUMBERS],
        [(number, [number]) for number, _ in NUMBERS],
    ],
    ids=["+1", "-1", "day after", "day before", "as text", "as a number", "#", "list of one", "list of one number"],
)
def test_a_changed_value_is_found(pairs):
    """
    What was changed in two ways that are alike is changed so a third time, and is of the type that was asked for.
    """
    *known, (new, expected) = pairs
    predictor = taught((told(value), Call("get", {"x": made})) for value, made in known)
    assert best(predictor, told(new)) == ("get", {"x": expected})


def test_a_number_is_read_from_what_the_user_said():
    """
    The digits in a text are a number where the tool takes numbers.
    """
    predictor = taught(
        (history_of(f"Where is order {n}?"), Call("get_order", {"id": n})) for n in (4_711, 5_200, 9_913)
    )
    assert best(predictor, history_of("Order 6077, please")) == ("get_order", {"id": 6_077})


def test_a_number_is_read_from_a_labelled_line():
    """
    Of many numbers in a text, the one behind the label.
    """

    def lines(n):
        return history_of("Go", ("look", {}, f"Total: {n * 7}\nOrder ID: {n}\nWeight: {n * 3}"))

    predictor = taught((lines(n), Call("get_order", {"id": n})) for n in (1_411, 1_200, 1_313))
    assert best(predictor, lines(1_077)) == ("get_order", {"id": 1_077})


def test_a_list_of_numbers_is_walked_through_a_lens():
    """
    What was used before is not offered first again, whatever it looked like where it was found.
    """

    def run(ids, done):
        return history_of("Go", ("list", {}, {"ids": ids}), *(("get", {"id": str(n)}, "ok") for n in ids[:done]))

    lessons = []
    for start in (100, 200, 300):
        ids = [start + at for at in (1, 5, 9)]
        lessons += [(run(ids, done), Call("get", {"id": str(ids[done])})) for done in range(3)]
    predictor = taught(lessons)
    assert [best(predictor, run([711, 733, 722], done))[1]["id"] for done in range(3)] == ["711", "733", "722"]


def test_items_that_a_lens_makes_nothing_of_are_left_out():
    """
    Where words stand among the numbers, a program for numbers goes on with the next number.
    """

    def step(*values):
        return history_of("Go", ("look", {}, {"rows": [{"id": value} for value in values]}))

    lessons = [(step("none", str(n)), Call("get", {"id": n})) for n in (3_108, 4_417, 5_096)]
    assert best(taught(lessons), step("none", "8123")) == ("get", {"id": 8_123})


def test_every_lens_can_be_undone():
    """
    What a lens made of a value is traced back to that value, and rubbish is left alone.
    """
    rubbish = [
        "",
        "x",
        "007",
        "9" * 400,
        "２",
        "2024-02-30",
        "0001-01-01",
        "9999-12-31",
        True,
        None,
        -1,
        0,
        1.5,
        [],
        {},
    ]
    for name, lens in LENSES.items():
        for value in ("7", "#7", 7, "2024-05-20", *rubbish):
            made = lens.forth(value)
            if made is not None and lens.back(made) is not None:
                assert (name, lens.back(made), type(lens.back(made))) == (name, value, type(value))
                assert (name, value) in undone(made)


def asked(n):
    return history_of(f"Where is order {n}?")


def learned_sums():
    numbers = (4_711, 5_200, 9_913, 3_140)
    return taught((asked(n), Call("get_order", {"id": n})) for n in numbers).take()[""]


def test_a_lens_is_known_again():
    """
    A lens is structure, so it is written down although no value is; what is loaded foresees the same.
    """
    sums = learned_sums()
    assert not any("4711" in part for key in sums for part in key)
    assert any("as a number" in pattern.text for pattern in patterns_in(sums, least=1))
    again = BlendedPredictor()
    again.give(sums)
    assert best(again, asked(2_500)) == ("get_order", {"id": 2_500})


def test_a_lens_of_another_version_is_left_out():
    """
    What a file says of a change that this version does not know is no reason to offer anything.
    """
    sums = {tuple("half" if part == "int" else part for part in key): pair for key, pair in learned_sums().items()}
    again = BlendedPredictor()
    again.give(sums)
    assert again.predict(asked(2_500), k=9) == []
