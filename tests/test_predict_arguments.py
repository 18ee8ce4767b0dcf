"""Where arguments are found: each way has a test that fails without it."""

import pytest

from langgraph_speculate.core import Call
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.predict.mentions import NEAR
from langgraph_speculate.predict.shapes import days
from langgraph_speculate.predict.sources import RunSources, Source
from langgraph_speculate.predict.walks import walk
from tests.lessons import best, history_of, taught

NAMES = ["mia_li_3668", "raj_brown_5782", "ivan_kim_1204", "olga_ruiz_7731"]


def test_identifiers_are_read_from_what_the_user_said():
    """
    An identifier of a known shape is taken from the user's text, wherever it stands in it.
    """
    predictor = taught((history_of(f"Hi, I am {name}."), Call("get_user", {"user_id": name})) for name in NAMES[:3])
    assert best(predictor, history_of("my account is called olga_ruiz_7731, can you look?")) == (
        "get_user",
        {"user_id": "olga_ruiz_7731"},
    )


@pytest.mark.parametrize(
    ("known", "new", "decoy"),
    [
        (["#W1234567", "#W7654321", "#W5550001"], "#W9998887", "#A1"),
        (["HAT069", "HAT170", "HAT001"], "HAT222", "VA5SGQ"),
        (["VA5SGQ", "M20IZO", "4OG6T3"], "K1NW8N", "HAT069"),
        (["2024-05-20", "2024-05-21", "2024-06-01"], "2025-01-02", "12:30"),
        (["src/app.py", "lib/tools.py", "lib/main.py"], "bin/run.py", "3.11"),
        (["/etc/hosts", "/var/log/app/error.log", "~/notes.txt"], "/srv/data/in/2024/rows.csv", "src/app.py"),
        (
            [
                "0b5f1f1e-52a2-4bd8-9d4c-8f1c2a6f3d10",
                "aa9e3c41-7d10-4c7b-b1f0-5e5d6c7b8a99",
                "12345678-1234-4abc-8def-1234567890ab",
            ],
            "f00dcafe-0000-4000-8000-00000000000a",
            "mia_li_3668",
        ),
        (["3f9a01bc", "77b0e1d2", "a41c9f30"], "0d0e4b1a", "1b9f00aa77c3"),
        (
            ["cus_NffrFeUfNV2Hib", "cus_9s6XKzkNRiz8i3", "cus_4QFJOjw2pOmAGJ"],
            "cus_A1bC2dE3fG4hI5",
            "pi_3MtwBwLkdIwHu7ix28a",
        ),
    ],
    ids=["order", "flight", "reservation", "date", "path", "absolute path", "uuid", "hexadecimal", "random"],
)
def test_shapes_are_told_apart(known, new, decoy):
    """
    Order numbers, flight numbers, booking codes, dates, paths and what was drawn at random are recognised beside tokens
    of other shapes.
    """
    predictor = taught((history_of(f"With {decoy} see {value} please"), Call("look", {"at": value})) for value in known)
    assert best(predictor, history_of(f"With {decoy} see {new} please")) == ("look", {"at": new})


def test_a_value_is_copied_from_another_tools_argument():
    """
    The second tool gets what the first one got, although it stands nowhere else.
    """
    predictor = taught(
        (history_of("Check it", ("get_order", {"order": number}, "ok")), Call("get_invoice", {"id": number}))
        for number in (17, 23, 42)
    )
    assert best(predictor, history_of("Check it", ("get_order", {"order": 99}, "ok"))) == ("get_invoice", {"id": 99})


def test_types_are_kept():
    """
    A number is copied as a number, a string of digits as a string.
    """
    for kind in (int, str):
        predictor = taught(
            (history_of("Go", ("first", {}, {"found": {"id": kind(n)}})), Call("second", {"id": kind(n)}))
            for n in (11, 12, 13)
        )
        value = best(predictor, history_of("Go", ("first", {}, {"found": {"id": kind(14)}})))[1]["id"]
        assert (type(value), value) == (kind, kind(14))


def test_a_json_path_is_followed_into_results():
    """
    The value is taken from its place in the result, not from places that look alike.
    """

    def step(n):
        return ("get_user", {}, {"id": f"u{n}", "card": {"id": f"c{n}"}, "home": {"city": {"id": f"t{n}"}}})

    predictor = taught((history_of("Pay", step(n)), Call("get_card", {"card": f"c{n}"})) for n in (1, 2, 3))
    assert best(predictor, history_of("Pay", step(4))) == ("get_card", {"card": "c4"})


def test_keys_of_objects_are_values_too():
    """
    Records stored under their ids are found by these ids.
    """

    def step(n):
        return ("get_user", {}, {"payment_methods": {f"card_{n}": {"brand": "visa"}}})

    predictor = taught((history_of("Pay", step(n)), Call("get_card", {"card": f"card_{n}"})) for n in (101, 202, 303))
    assert best(predictor, history_of("Pay", step(404))) == ("get_card", {"card": "card_404"})


def test_a_list_is_walked():
    """
    The next item is the first one that was not used yet.
    """

    def run(ids, done):
        return history_of("Show", ("list", {}, {"orders": ids}), *(("get", {"id": each}, "{}") for each in ids[:done]))

    lessons = []
    for start in (10, 20, 30):
        ids = [f"o{start + at}" for at in range(4)]
        lessons += [(run(ids, done), Call("get", {"id": ids[done]})) for done in range(4)]
    predictor = taught(lessons)
    ids = ["o90", "o81", "o72", "o63"]
    for done in range(4):
        assert best(predictor, run(ids, done)) == ("get", {"id": ids[done]})


def test_a_list_is_fanned_out():
    """
    Where one message asks for all items, all of them are predicted, unused ones first.
    """

    def start(ids):
        return history_of("Show", ("list", {}, {"orders": ids}))

    groups = [[f"o{base + at}" for at in range(3)] for base in range(10, 90, 10)]
    predictor = taught((start(ids), [Call("get", {"id": each}) for each in ids]) for ids in groups)
    candidates = predictor.predict(start(["x7", "x8", "x9"]), k=3)
    assert [candidate.call.args["id"] for candidate in candidates] == ["x7", "x8", "x9"]
    assert min(candidate.probability for candidate in candidates) > 0.4


def test_labels_are_read_in_text_results():
    """
    A line `label: value` is found by its label.
    """

    def step(n):
        return ("whois", {}, f"Name: Ann{n} Lee\nUser ID: ann-{n}\nBoss ID: bob-{n}")

    predictor = taught((history_of("Who", step(n)), Call("get_boss", {"id": f"bob-{n}"})) for n in (1, 2, 3))
    assert best(predictor, history_of("Who", step(4))) == ("get_boss", {"id": "bob-4"})


def test_a_template_is_filled():
    """
    A command is predicted with a value it never had, once its frame was seen with two others.
    """

    def step(name):
        return ("bash", {"command": "ls"}, f"{name}\n")

    known = ["door.java", "keys.py", "notes.txt"]
    predictor = taught((history_of("Go", step(name)), Call("bash", {"command": f"cat {name}"})) for name in known)
    assert best(predictor, history_of("Go", step("flag.png"))) == ("bash", {"command": "cat flag.png"})


def test_a_day_in_words_becomes_a_date():
    """
    "May 20th" is found in 2024-05-20.
    """
    days = [("May 20th", "2024-05-20"), ("June 3", "2024-06-03"), ("dec 11", "2024-12-11")]
    predictor = taught((history_of(f"Fly on {said}, please"), Call("search", {"date": date})) for said, date in days)
    assert best(predictor, history_of("Fly on March 2nd, please")) == ("search", {"date": "2024-03-02"})


@pytest.mark.parametrize("said", ["\u017fep 3", "may 4, \u017fep 3"])
def test_letters_that_are_only_like_those_of_a_month_name_no_day(said: str):
    """
    A long s is an s where case does not count, and no month is written with one: nothing is found, and nothing fails.
    """
    assert list(days(said)) == (["05-04"] if "may" in said else [])


@pytest.mark.parametrize("sign", ["/", " ", "@"])
def test_halves_of_a_text_are_found(sign):
    """
    What stands on either side of a slash, a space or an @ in a result is a value, too.
    """
    pairs = [("Acme", "web.x"), ("Zoo", "api.y"), ("Ox", "core.z"), ("Sun", "k9.q")]
    histories = [history_of("Go", ("look", {}, {"full": sign.join(pair)})) for pair in pairs]
    calls = [Call("get", {"one": first, "two": second}) for first, second in pairs]
    predictor = taught(zip(histories[:3], calls[:3], strict=True))
    assert best(predictor, histories[3]) == ("get", dict(calls[3].args))


def test_the_day_of_a_timestamp_is_found():
    """
    A day is read from a time of that day.
    """
    days = ["2024-05-20", "2025-01-02", "2026-03-07", "2024-12-31"]
    histories = [history_of("Go", ("look", {}, {"at": f"{day}T1{at}:30:00Z"})) for at, day in enumerate(days)]
    predictor = taught((history, Call("get", {"day": day})) for history, day in zip(histories[:3], days, strict=False))
    assert best(predictor, histories[3]) == ("get", {"day": days[3]})


def test_a_repository_that_the_user_names_is_taken_apart():
    """
    The two halves of "owner/repository" are values in what the user says.
    """
    names = ["acme/web", "zoo/api", "ox/core"]
    lessons = [
        (
            history_of(f"triage {name} please"),
            Call("list_issues", dict(zip(("owner", "repo"), name.split("/"), strict=True))),
        )
        for name in names
    ]
    assert best(taught(lessons), history_of("please triage sun/k9")) == ("list_issues", {"owner": "sun", "repo": "k9"})


def test_constants_depend_on_what_went_before():
    """
    A value that stands nowhere comes again, in the situation that it belongs to.
    """
    first, then = history_of("Look around"), history_of("Look around", ("sh", {"cmd": "ls"}, "nothing"))
    predictor = taught([(first, Call("sh", {"cmd": "ls"})), (then, Call("sh", {"cmd": "pwd"}))] * 4)
    assert best(predictor, history_of("Have a look")) == ("sh", {"cmd": "ls"})
    assert best(predictor, history_of("Have a look", ("sh", {"cmd": "ls"}, "no files"))) == ("sh", {"cmd": "pwd"})


def test_arguments_of_one_call_come_from_one_record():
    """
    With two records in sight, no candidate before the right ones mixes them.
    """

    def step(n):
        legs = [{"number": f"HAT{n}{at}0", "date": f"2024-05-{n}{at}"} for at in (1, 2)]
        return ("get_trip", {}, {"flights": legs}), legs

    lessons = []
    for n in (1, 2, 1, 2, 1, 2):
        result, legs = step(n)
        lessons.append((history_of("Late?", result), [Call("status", leg) for leg in legs]))
    result, legs = step(0)
    candidates = taught(lessons).predict(history_of("Late?", result), k=2)
    assert [dict(candidate.call.args) for candidate in candidates] == legs


def test_a_value_belongs_to_every_record_that_has_it():
    """
    Legs on one day are kept together with that day, the second as well as the first.
    """

    def step(n, days):
        legs = [{"number": f"HAT{n}{at}0", "date": f"2024-05-{day}"} for at, day in enumerate(days)]
        return history_of("Late?", ("get_trip", {}, {"flights": legs})), legs

    lessons = []
    for n in range(1, 7):
        history, legs = step(n, (10, 10 + n, 20 + n))
        lessons.append((history, [Call("status", leg) for leg in legs]))
    history, legs = step(8, (14, 14, 15))
    candidates = taught(lessons).predict(history, k=3)
    assert [dict(candidate.call.args) for candidate in candidates] == legs


def test_two_arguments_seldom_have_one_value():
    """
    Where the places of two arguments are in doubt, no call goes from somewhere to the same place.
    """
    ways = [("JFK", "SEA"), ("BOS", "LAX"), ("ORD", "MIA"), ("DEN", "PHX")]
    lessons = [
        (history_of(f"{one}, {two}"), Call("search", {"origin": a, "to": b}))
        for one, two in ways
        for a, b in ((one, two), (two, one))
    ]
    candidates = taught(lessons).predict(history_of("ATL, LAS"), k=2)
    assert {tuple(candidate.call.args.values()) for candidate in candidates} == {("ATL", "LAS"), ("LAS", "ATL")}


@pytest.mark.parametrize(
    "said",
    [["It is {}, on its way."], "What about {}, is it on its way?"],
    ids=["by the model", "by the user"],
)
def test_of_many_values_the_one_spoken_of_is_taken(said):
    """
    Of a list, the item that the user or the model wrote of is wanted, wherever in the list it stands.
    """

    def step(ids, at):
        spoken = said.format(ids[at]) if isinstance(said, str) else [said[0].format(ids[at])]
        return history_of("Hello", ("list", {}, {"orders": ids}), spoken, *(["Go on"] if spoken != str(spoken) else []))

    groups = [[f"o{base + at}" for at in range(4)] for base in range(10, 80, 10)]
    lessons = [(step(ids, at % 4), Call("get", {"id": ids[at % 4]})) for at, ids in enumerate(groups)]
    assert best(taught(lessons), step(["o91", "o92", "o93", "o94"], 2)) == ("get", {"id": "o93"})


def test_of_many_results_the_one_spoken_of_is_read():
    """
    A value is taken from the result of the call that was made with what the user wrote.
    """

    def step(n, at):
        trips = [("get_trip", {"id": f"T{n}{place}"}, {"flight": f"HAT{n}{place}"}) for place in range(4)]
        return history_of("Hello", *trips, f"T{n}{at}, is it late?")

    lessons = [(step(n, n % 4), Call("status", {"flight": f"HAT{n}{n % 4}"})) for n in range(10, 18)]
    assert best(taught(lessons), step(20, 1)) == ("status", {"flight": "HAT201"})


def test_what_is_near_in_one_run_is_far_in_another():
    """
    Runs may have the same ids for their calls and the same words of their users: which calls were made with those words
    is looked up in each run for itself.
    """

    def sources(trip, before=None):
        asked = history_of("Hello", ("get_trip", {"id": trip}, {"flight": "HAT101"}), "T11, is it late?")
        return RunSources(asked, before)

    flight = Source("json", "get_trip", ".flight")
    near = sources("T11")
    assert near.marks(flight) == [NEAR]
    assert sources("T12", near).marks(flight) is None


def searched(first, count=3):
    """A history that searched page by page."""
    return history_of("Search", *(("search", {"page": first + at}, "none") for at in range(count)))


def test_a_walk_goes_on_from_where_it_is():
    """
    The days that follow are predicted, the nearest first, although the tool was never called in another run.
    """
    predictor = taught([(history_of("Hello"), Call("greet", {"name": "Ann"}))])
    days = [("search", {"to": "LAX", "day": f"2024-02-{day}"}, "none") for day in (26, 27, 28)]
    candidates = predictor.predict(history_of("Search", *days), k=9)
    assert [candidate.call.args for candidate in candidates if candidate.call.name == "search"] == [
        {"to": "LAX", "day": day} for day in ("2024-02-29", "2024-03-01", "2024-03-02")
    ]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_walk_is_trusted_as_far_as_walks_go_on(goes_on):
    """
    Where walks went on, the next step is a good guess; where they stopped each time, hardly one.
    """
    predictor = default_predictor()
    for first in range(10, 200, 10):
        history = searched(first)
        predictor.learn(history, [Call("search", {"page": first + 3}) if goes_on else Call("stop", {})])
    chances = {one.call.args.get("page"): one.probability for one in predictor.predict(searched(500), k=9)}
    assert (chances.get(503, 0.0) > 0.5) == goes_on
    assert max(chances.get(504, 0.0), chances.get(505, 0.0)) < 0.2


@pytest.mark.parametrize(
    "steps",
    [
        [("search", {"page": 1}), ("search", {"page": 3})],
        [("search", {"page": 1, "size": 5}), ("search", {"page": 2, "size": 6})],
        [("search", {"page": 1}), ("find", {"page": 2})],
        [("search", {"page": 1}), ("search", {"page": 2}), "Stop"],
        [("search", {"page": 2**62}), ("search", {"page": True})],
    ],
    ids=["gap", "two arguments", "two tools", "the user spoke since", "no number"],
)
def test_what_is_no_walk_does_not_go_on(steps):
    """
    One argument goes up by one, the others stay, and nobody has said anything since.
    """
    history = history_of("Search", *(step if isinstance(step, str) else (*step, "none") for step in steps))
    assert walk(history) == (0, [])


def test_omitted_arguments_stay_omitted():
    """
    An optional argument that is usually left out is left out of the prediction.
    """
    predictor = taught(
        (history_of(f"See A{n}0001"), Call("get", {"id": f"A{n}0001"} | ({"full": True} if n == 3 else {})))
        for n in range(1, 8)
    )
    assert best(predictor, history_of("See A90001")) == ("get", {"id": "A90001"})


@pytest.mark.parametrize(
    ("known", "now", "following"),
    [((3, 8, 21), 40, 41), (("2024-02-03", "2024-05-11", "2024-07-08"), "2024-12-31", "2025-01-01")],
    ids=["number", "day"],
)
def test_counting_goes_on(known, now, following):
    """
    The next page, or the next day, is predicted although it stands nowhere.
    """

    def after(value):
        return history_of("More", ("get_page", {"at": value}, "text"))

    steps = [(value, value + 1 if isinstance(value, int) else value[:-1] + str(int(value[-1]) + 1)) for value in known]
    predictor = taught((after(value), Call("get_page", {"at": then})) for value, then in steps)
    assert best(predictor, after(now)) == ("get_page", {"at": following})


def test_names_in_a_listing_are_told_from_messages():
    """
    A lone word on a line is a name; a line of several words is not put into a command that took names.
    """

    def step(*lines):
        return history_of("Go", ("bash", {"command": "ls"}, "\n".join(lines)))

    predictor = taught(
        (step("total of 1", name), Call("bash", {"command": f"cat {name}"})) for name in ("notes", "key", "door")
    )
    commands = [candidate.call.args["command"] for candidate in predictor.predict(step("no such thing", "flag"), k=9)]
    assert commands[0] == "cat flag"
    assert "cat no such thing" not in commands


def test_the_first_name_of_each_row_is_read():
    """
    Tables are found in the rows that a database lists them in, beside columns and their types.
    """

    def step(*tables):
        rows = [(table, "base table", "utf8") for table in tables]
        return history_of("Look", ("execute_sql", {"query": "SHOW FULL TABLES"}, str(rows)))

    lessons = [(step(name, "x"), Call("execute_sql", {"query": f"DESC {name}"})) for name in ("pets", "cars", "people")]
    assert best(taught(lessons), step("singer", "x")) == ("execute_sql", {"query": "DESC singer"})


def test_a_way_that_keeps_losing_is_muted():
    """
    What always stands beside the right value, and was never it, is not offered beside it for long.
    """
    predictor = default_predictor()
    for number in range(30):
        history = history_of("Go", ("list", {}, {"items": [{"id": f"a{number}"}, {"id": f"b{number}"}]}))
        predictor.learn(history, [Call("get", {"id": f"b{number}"})])
    right, *others = predictor.predict(history_of("Go", ("list", {}, {"items": [{"id": "a99"}, {"id": "b99"}]})), k=3)
    assert right.call.args == {"id": "b99"}
    assert right.probability > 0.8
    assert all(other.probability < 0.1 for other in others)
