"""One mistake in a valid policy: each kind there is, where it stands, and which words its message must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

from langgraph_speculate.policy import LEVELS, Limits, SpeculationPolicy, ToolPolicy, checks
from langgraph_speculate.policy.file import MAX_FILE_BYTES
from tests.fuzz import toml
from tests.fuzz.policies import (
    CODE_ONLY,
    LIMITS,
    NAMES,
    TOOL,
    TOOL_CODE_ONLY,
    TOP,
    VARIABLES,
    Data,
    copy_of,
    late,
    plain,
    sound,
    subset,
    yes,
)

TOP_SETTINGS = tuple(field.name for field in fields(SpeculationPolicy))
TOOL_SETTINGS = tuple(field.name for field in fields(ToolPolicy))


@dataclass(frozen=True)
class Mistake:
    """A policy with one mistake.

    Attributes:
        kind: The name of the mutation.
        words: What its message must hold: the path of the mistake first.
        data: The policy as plain data, or None for what only a file can have.
        file: The policy as a file, or None for what TOML cannot say.
        entry: The settings of the tool that has the mistake, if it is in one.
        key: The word that even the message of the tool's own record must hold.
    """

    kind: str
    words: tuple[str, ...]
    data: dict[Any, Any] | None = None
    file: bytes | None = None
    entry: dict[Any, Any] | None = None
    key: str = ""

    def readings(self, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield every way to read it, each by its name."""
        if self.data is not None:
            data = self.data
            yield "from_dict", lambda: SpeculationPolicy.from_dict(data)
            yield "load", lambda: SpeculationPolicy.load(data)
            if set(data) <= set(TOP_SETTINGS):  # Python itself refuses the rest
                yield "record", lambda: SpeculationPolicy(**data)
        if self.entry is not None:
            entry = self.entry
            yield "metadata", lambda: SpeculationPolicy().rule_for("t", {"speculation": entry})
            if set(entry) <= set(TOOL_SETTINGS):
                yield "tool record", lambda: ToolPolicy(**entry)
        if self.file is not None:
            path = toml.written(folder / "mistaken.toml", self.file)
            yield "from_toml", lambda: SpeculationPolicy.from_toml(path)
            yield "load file", lambda: SpeculationPolicy.load(str(path))

    def words_of(self, way: str) -> tuple[str, ...]:
        """What the message must hold when it is read in that way."""
        if way == "tool record":
            return (self.key,)
        if way == "metadata":
            return "metadata of tool 't'", "speculation", self.key
        return ("mistaken.toml", *self.words) if way in ("from_toml", "load file") else self.words


def mistaken(rng: Random, data: Data) -> Mistake:
    """Return *data* with one mistake; *data* itself stays as it is."""
    kinds = list(MISTAKES)
    while True:
        found = rng.choice(kinds)(rng, copy_of(data))
        if found is not None:
            return found


# -- keys --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A table of a policy: its path, itself, and how its settings are made."""

    path: str
    table: dict[Any, Any]
    makers: dict[str, Callable[[Random], Any]]

    @property
    def entry(self) -> dict[Any, Any] | None:
        """The table, if it is a tool's."""
        return self.table if self.makers is TOOL else None

    def mistake(self, rng: Random, kind: str, data: Data, key: object, words: tuple[str, ...] = ()) -> Mistake:
        """The mistake at *key* of this table."""
        path = checks.located(self.path, key)
        return Mistake(kind, (path, *words), data, as_file(rng, data), self.entry, checks.located("", key))


def place(rng: Random, data: Data) -> Place:
    """One table of the policy, made if it is not there."""
    which = rng.choice(["top", "limits", "tool", "tool"])
    if which == "top":
        return Place("", data, TOP)
    if which == "limits":
        return Place("limits", data.setdefault("limits", {}), LIMITS)
    return tool_place(rng, data)


def tool_place(rng: Random, data: Data) -> Place:
    """One tool of the policy, with settings that are sound."""
    entries = data.setdefault("tools", {})
    name = rng.choice(list(entries) or list(NAMES))
    if not isinstance(entries.get(name), dict):
        entries[name] = sound(rng, subset(rng, TOOL))
    return Place(checks.located("tools", name), entries[name], TOOL)


def misspelt_key(rng: Random, data: Data) -> Mistake | None:
    """A letter too few, too many, another or in another place."""
    at = place(rng, data)
    key = rng.choice(list(at.makers))
    spot = rng.randrange(len(key))
    letter = rng.choice("abcdeklnorstxz_019.- ")
    wrong = rng.choice(
        [
            key[:spot] + key[spot + 1 :],
            key[:spot] + letter + key[spot:],
            key[:spot] + letter + key[spot + 1 :],
            key[:spot] + key[spot : spot + 2][::-1] + key[spot + 2 :],
            key + rng.choice(["s", " ", "_", "\t", "\u200b"]),
        ]
    )
    return renamed(rng, data, at, key, wrong, "misspelt key")


def key_in_another_case(rng: Random, data: Data) -> Mistake | None:
    """Upper case, title case, camel case, hyphens, letters that only look the same."""
    at = place(rng, data)
    key = rng.choice(list(at.makers))
    first, *rest = key.split("_")
    wide = "".join(chr(ord(char) + 0xFEE0) if char.isalpha() else char for char in key)
    wrong = rng.choice(
        [
            key.upper(),
            key.title(),
            key.capitalize(),
            first + "".join(part.title() for part in rest),
            key.replace("_", "-"),
            key.replace("_", " "),
            key.replace("_", ""),
            key.replace("e", "\u0435").replace("o", "\u043e").replace("i", "\u0456"),
            wide,
        ]
    )
    return renamed(rng, data, at, key, wrong, "key in another case")


def renamed(rng: Random, data: Data, at: Place, key: str, wrong: str, kind: str) -> Mistake | None:
    if wrong in at.makers or wrong in CODE_ONLY or wrong in TOOL_CODE_ONLY or wrong in at.table:
        return None
    at.table[wrong] = at.table.pop(key) if key in at.table else at.makers[key](rng)
    return at.mistake(rng, kind, data, wrong, ("unknown key",))


def key_of_another_table(rng: Random, data: Data) -> Mistake | None:
    """A setting in a table it does not belong to, or one that nobody has."""
    at = place(rng, data)
    others = {**TOP, **LIMITS, **TOOL, "mode": TOP["level"], "timeout": LIMITS["max_per_run"], "": TOOL["tag"]}
    key = rng.choice(sorted(others.keys() - at.makers.keys()))
    at.table[key] = others[key](rng)
    return at.mistake(rng, "key of another table", data, key, ("unknown key",))


def key_that_is_no_text(rng: Random, data: Data) -> Mistake | None:
    """Numbers, None and tuples, which only a dict can have."""
    at = place(rng, data)
    key = rng.choice([7, None, True, ("level",), b"level", 0.5, frozenset()])
    at.table[key] = "off"
    return at.mistake(rng, "key that is no text", data, key, ("unknown key",))


# -- values ------------------------------------------------------------------------------------------------------------

STRANGE: tuple[Any, ...] = (b"off", {1, 2}, 1j, object(), date(2024, 1, 1), range(3), len, int, [[["a"]]], {"a": {}})
NO_BOOL: tuple[Any, ...] = (1, 0, "yes", "true", "True", "", [True], {}, 1.0, math.nan, *STRANGE)
NO_COUNT: tuple[Any, ...] = (True, False, 1.0, "3", "", -1, -(10**30), -(10**5000), math.nan, math.inf, [3], {}, 2.5)
NO_SECONDS: tuple[Any, ...] = (True, False, "1", "", -1, -0.1, math.nan, math.inf, -math.inf, 10**400, [1], {})
NO_TEXTS: tuple[Any, ...] = ("one", "", 5, True, [1], [""], ["a", ""], [None], [["a"]], [True], {"a": 1}, (None,))
NO_TEXT: tuple[Any, ...] = ("", 1, True, ["x"], {}, *STRANGE)
NO_TEMPLATES = (
    ["order:{"],
    ["order:}"],
    ["{}"],
    ["{0}"],
    ["{a.b}"],
    ["{a[0]}"],
    ["{a!r}"],
    ["{a!x}"],
    ["{a:>3}"],
    ["{a-b}"],
    ["{ a}"],
    ["or*der"],
    ["*:{a}"],
    ["{a}*{b}"],
    ["**"],
    ["{{*}}"],
    ["{a:{b}}"],
    ["ok", "{a"],
)
NO_HOSTS = (
    ["https://example.org/a"],
    ["a b.org"],
    ["*"],
    ["*.org"],
    ["example.org:80"],
    ["exa*mple.org"],
    ["user@example.org"],
    ["localhost"],
    ["127.0.0.1"],
    ["0x7f.1"],
    ["docs.python.org", "printer.local"],
)
NO_SHARE = (*NO_SECONDS, 1.1, 2, 100, -0.5, "20%")
NO_RATES = (
    "",
    "fast",
    "10",
    "/second",
    "10/",
    "10/fortnight",
    "-1/second",
    "0/second",
    "1.5/second",
    10,
    True,
    ["1/day"],
)
NO_LEVELS = ("none", "on", "", "readonly", "read_only", "off\n", 0, False, True, 1, None, ["off"], {"off": 1})

WRONG: dict[str, tuple[Any, ...]] = {
    "level": NO_LEVELS,
    "tools": ([], None, "x", 1, True, [["a", True]], [{"a": {}}], Limits(), *STRANGE[:4]),
    "limits": ([], None, "x", 1, True, [{"max_per_run": 1}], ToolPolicy(), *STRANGE[:4]),
    "approval_gated": ("Auto", "auto ", None, *NO_TEXTS, *STRANGE),
    "guards": (yes, None, "f", ["f"], [1], [None], [late], {"f": yes}, [yes, late]),
    "propagate_context": (VARIABLES[0], None, "user", ["user"], [None], {"user": VARIABLES[0]}, [VARIABLES[0], "x"]),
    "destructive": NO_BOOL,
    "reads": (None, *NO_TEXTS, *NO_TEMPLATES, *STRANGE),
    "writes": (*NO_TEXTS, *NO_TEMPLATES, *STRANGE),
    "uses": (None, *NO_TEXTS, ["contxt"], ["Context"], ["context", "state"], *STRANGE),
    "ttl_s": (None, *NO_SECONDS, *STRANGE),
    "attempt_timeout_s": (None, 0, 0.0, -0.0, *NO_SECONDS, *STRANGE),
    "allowed_hosts": (None, *NO_TEXTS, *NO_HOSTS, *STRANGE),
    "run_limit": (*NO_COUNT, *STRANGE),
    "thread_limit": (*NO_COUNT, *STRANGE),
    "slots": (*NO_COUNT, *STRANGE),
    "max_depth": (None, 0, *NO_COUNT, *STRANGE),
    "cost": (None, *NO_SECONDS, *STRANGE),
    "value_per_second": (None, 0, 0.0, -0.0, *NO_SECONDS, *STRANGE),
    "max_wasted_s_per_run": (None, *NO_SECONDS, *STRANGE),
    "cool_down_s": (None, *NO_SECONDS, *STRANGE),
    "thrift": (None, *NO_SHARE, *STRANGE),
    "rate_share": (None, *NO_SHARE, *STRANGE),
    "rate": (*NO_RATES, *STRANGE),
    "rates": (None, [], "x", 1, True, *({"api": rate} for rate in (None, *NO_RATES)), {"": "1/day"}, *STRANGE),
    "token_prices": (
        *(None, [], "x", 1, True, {"": {}}, {1: {}}, {"gpt": 1}, {"gpt": {"inptu": 1}}),
        *({"gpt": {"input": price}} for price in (None, *NO_SECONDS)),
    ),
    "pools": (None, [], "x", 1, True, *({"db": slots} for slots in NO_COUNT), {"": 1}, *STRANGE),
    "host": NO_TEXT,
    "pin": NO_TEXT,
    "tag": NO_TEXT,
}
CHOICES: dict[str, tuple[str, ...]] = {
    "level": LEVELS,
    "eagerness": ("auto", "immediate", "eager", "moderate", "conservative"),
    "scope": ("step", "run"),
    "on_mispredict": ("drain", "cancel"),
    "disclosure": ("none", "same_args_only", "declared"),
}
LISTS = ("trusted_servers", "transparent", "partition_by", "reads_state")


def wrong_values(name: str) -> tuple[Any, ...]:
    """Values that setting may never hold."""
    if name in WRONG:
        return WRONG[name]
    if name in CHOICES:
        return "", "?", None, 0, True, [CHOICES[name][0]], {CHOICES[name][0]: True}, *STRANGE
    if name in LISTS:
        return None, *NO_TEXTS, *STRANGE
    return None, *(NO_COUNT if name in LIMITS else NO_BOOL), *STRANGE


def wrong_value(rng: Random, data: Data) -> Mistake | None:
    """A bool for a number, a number for a bool, a text for a list, None, NaN, too small, too large, no template, …"""
    at = place(rng, data)
    makers = {**at.makers, **CODE_ONLY} if at.makers is TOP else at.makers
    key = rng.choice(list(makers))
    at.table[key] = rng.choice(wrong_values(key))
    return at.mistake(rng, f"wrong value of {key}", data, key)


def near_miss(rng: Random, data: Data) -> Mistake | None:
    """A word that is almost one of those a setting may hold."""
    at = place(rng, data)
    key = rng.choice([*(CHOICES.keys() & at.makers.keys()), None])
    if key is None:
        return None
    word = rng.choice(CHOICES[key])
    spot = rng.randrange(len(word))
    wrong = rng.choice(
        [
            word.upper(),
            word.title(),
            f" {word}",
            f"{word} ",
            f"{word}\n",
            word + "s",
            word[:spot] + word[spot + 1 :],
            word[:spot] + rng.choice("aeiou-_ ") + word[spot:],
            word.replace("_", "-"),
            word.replace("o", "\u043e").replace("e", "\u0435").replace("a", "\u0430"),
        ]
    )
    if wrong in CHOICES[key]:
        return None
    at.table[key] = wrong
    return at.mistake(rng, "near miss", data, key, ("must be one of",))


def setting_of_code(rng: Random, data: Data) -> Mistake | None:
    """Functions and context variables, named in a file."""
    data = plain(data)
    key = rng.choice([*CODE_ONLY, *TOOL_CODE_ONLY])
    at = tool_place(rng, data) if key in TOOL_CODE_ONLY else Place("", data, TOP)
    at.table[key] = rng.choice([["f"], "f", ["user", "tenant"], {"f": "module:f"}, True, [["f"]]])
    return at.mistake(rng, "setting of code", data, key, ("only be set in code",))


def wrong_entry(rng: Random, data: Data) -> Mistake | None:
    """Something else than a table of settings, yes or no."""
    entries = data.setdefault("tools", {})
    name = rng.choice(list(entries) or list(NAMES))
    entries[name] = rng.choice([None, 1, 0, "yes", "read_only", [], [True], [{"read_only": True}], 0.5, Limits()])
    return Mistake("wrong entry", (checks.located("tools", name),), data, as_file(rng, data))


def wrong_name(rng: Random, data: Data) -> Mistake | None:
    """A tool without a name, or whose name is no text."""
    name: Any = rng.choice(["", "", None, 7, True, ("get_order",), b"get_order"])
    data.setdefault("tools", {})[name] = rng.choice([True, {}, {"read_only": True}])
    return Mistake("wrong name", (checks.located("tools", name), "name"), data, as_file(rng, data))


# -- contradictions ----------------------------------------------------------------------------------------------------


def contradiction(rng: Random, data: Data) -> Mistake | None:
    """Two settings of a tool that cannot both be meant; every one that the documentation names."""
    at = tool_place(rng, data)
    said, unsaid, word = rng.choice(
        [
            ({"read_only": True, "destructive": True}, ("writes",), "destructive"),
            ({"read_only": True, "writes": ["a"]}, ("destructive",), "writes"),
            ({"read_only": True, "writes": ("*",), "destructive": False}, (), "writes"),
            ({"scope": "run", "deterministic": False}, ("open_world", "disclosure", "allowed_hosts"), "deterministic"),
            ({"scope": "run", "open_world": True, "deterministic": True, "disclosure": "declared"}, (), "scope 'run'"),
            ({"disclosure": "declared"}, ("open_world", "allowed_hosts"), "disclosure"),
            ({"disclosure": "same_args_only", "open_world": False}, ("allowed_hosts",), "disclosure"),
            ({"allowed_hosts": ["example.org"]}, ("open_world", "disclosure"), "allowed_hosts"),
            ({"allowed_hosts": ("example.org",), "open_world": False}, ("disclosure",), "allowed_hosts"),
        ]
    )
    at.table.update(said)
    for name in unsaid:
        at.table.pop(name, None)
    return Mistake("contradiction", (at.path, word), data, as_file(rng, data), at.entry, word)


def open_world_without_budget(rng: Random, data: Data) -> Mistake | None:
    """The level `open_world`, and nobody said how many unwanted calls others may see."""
    data["level"] = "open_world"
    limits = data.setdefault("limits", {})
    way = rng.choice(["unsaid", "zero", "record", "no limits"])
    limits.pop("max_ghost_per_run", None)
    if way == "zero":
        limits["max_ghost_per_run"] = 0
    elif way == "record":
        data["limits"] = Limits(**limits)
    elif way == "no limits":
        del data["limits"]
    return Mistake("open world without budget", ("limits.max_ghost_per_run",), data, as_file(rng, data))


# -- files -------------------------------------------------------------------------------------------------------------


def as_file(rng: Random, data: dict[Any, Any]) -> bytes | None:
    """The policy as a file, or None when TOML cannot say it."""
    return toml.file_of(rng, data) if toml.can_say(data) else None


def said_twice(rng: Random, data: Data) -> Mistake | None:
    """The same key, the same table, or a table that another spelling has already made."""
    lines = toml.lines_of(rng, plain(data))
    own = [at for at, line in enumerate(lines) if line and not line.startswith("#")]
    for name in ("limits", "level"):
        data.pop(name, None)
    rest = toml.lines_of(rng, plain(data))
    twice = [
        ["level = 'off'", "\"level\" = 'off'", *rest],
        ["level = 'off'", "level = 'off'", *rest],
        ["limits.max_per_run = 1", *rest, "[limits]", "max_per_turn = 1"],
        ["limits = { max_per_run = 1 }", *rest, "[limits]"],
        ["limits = { max_per_run = 1, max_per_run = 1 }", *rest],
        ["limits = true", *rest, "[limits]"],
        [*rest, "[limits]", "max_per_run = 1", "[limits]", "max_per_turn = 1"],
        [*rest, "[tools.twice]", "read_only = true", '[tools."twice"]', "read_only = true"],
        [*rest, "[tools.twice]", "ttl_s.a = 1", "[tools.twice.ttl_s]"],
    ]
    if own:
        at = rng.choice(own)
        line = lines[at]
        again = len(lines) if line.startswith("[") else at + 1
        twice.append([*lines[:again], line, *lines[again:]])
    return in_file("said twice", "\n".join(rng.choice(twice)).encode(), "not TOML")


def no_toml(rng: Random, data: Data) -> Mistake | None:
    """A line of another language."""
    lines = toml.lines_of(rng, plain(data))
    wrong = rng.choice(
        [
            "level: off",
            "x = off",
            "x = shadow",
            "x = True",
            "x = None",
            "x = 1,5",
            "x = .5",
            "x = 01",
            "x = 0x",
            "x =",
            "= 1",
            "x",
            "[tools.x",
            "tools.x]",
            "[]",
            "x = [1, 2",
            "x = {a = 1,,}",
            "x = 'a' 'b'",
            'x = "\\x"',
            'x = "\\ud800"',
            'x = """',
            "x = '''",
            "{}",
            '{"level": "off"}',
            "// a comment",
            "x = " + "9" * 5000,
            "x = " + "[" * 20_000,
            "a b = 1",
        ]
    )
    at = rng.randint(0, len(lines))
    return in_file("no TOML", "\n".join([*lines[:at], wrong, *lines[at:]]).encode(), "")


def cut_off(rng: Random, data: Data) -> Mistake | None:
    """The end of the file is missing, from the middle of a line on."""
    lines = toml.lines_of(rng, plain(data)) or ["level = 'off'"]
    at = rng.choice([at for at, line in enumerate(lines) if line and not line.startswith("#")])
    line = lines[at]
    end = line.rindex("]") if line.startswith("[") else line.index("=") + 1
    return in_file("cut off", "\n".join([*lines[:at], line[:end]]).encode(), "not TOML")


def in_another_encoding(rng: Random, data: Data) -> Mistake | None:
    """Not UTF-8, or with characters that no text file has."""
    text = toml.text_of(rng, plain(data))
    at = rng.choice([at + 1 for at, char in enumerate(text) if char == "\n"])
    name, content, word = rng.choice(
        [
            ("latin-1", f"# größe\n{text}".encode("latin-1", "replace"), "not UTF-8"),
            ("latin-1 in a value", text.encode() + b'[tools.x]\ntag = "gr\xf6\xdfe"\n', "not UTF-8"),
            ("UTF-16", text.encode("utf-16"), "not UTF-8"),
            ("UTF-16 without mark", b"\n\0" + text.encode("utf-16-le"), "not"),
            ("a surrogate", text.encode() + b'[tools.x]\ntag = "\xed\xa0\x80"\n', "not UTF-8"),
            ("cut in a character", text.encode() + b"# \xe2\x82", "not UTF-8"),
            ("two marks", b"\xef\xbb\xbf\xef\xbb\xbf" + text.encode(), "not TOML"),
            ("a mark within", f"{text[:at]}\ufeff{text[at:]}".encode(), "not TOML"),
            ("NUL", f"{text[:at]}\0{text[at:]}".encode(), "not TOML"),
            ("NUL in a comment", f"{text[:at]}# \0\n{text[at:]}".encode(), "not TOML"),
            ("NUL in a value", text.encode() + b'[tools.x]\ntag = "a\0b"\n', "not TOML"),
            ("a bare carriage return", f"{text[:at]}# \r#\n{text[at:]}".encode(), "not TOML"),
            ("an escape character", f"{text[:at]}\x1b[0m\n{text[at:]}".encode(), "not TOML"),
        ]
    )
    return in_file(f"encoding: {name}", content, word)


def too_large(rng: Random, data: Data) -> Mistake | None:
    """More than a policy can be; rarely, for it costs time."""
    if rng.random() < 0.95:
        return None
    text = toml.text_of(rng, plain(data)).encode()
    return in_file("too large", text + b"#" * (MAX_FILE_BYTES - len(text) + rng.choice([1, 2, 1000])), "larger than")


def in_file(kind: str, content: bytes, word: str) -> Mistake:
    return Mistake(kind, (word,), file=content)


MISTAKES: tuple[Callable[[Random, Data], Mistake | None], ...] = (
    misspelt_key,
    key_in_another_case,
    key_of_another_table,
    key_that_is_no_text,
    wrong_value,
    wrong_value,  # the widest of all
    wrong_value,
    near_miss,
    setting_of_code,
    wrong_entry,
    wrong_name,
    contradiction,
    contradiction,
    open_world_without_budget,
    said_twice,
    no_toml,
    cut_off,
    in_another_encoding,
    too_large,
)
