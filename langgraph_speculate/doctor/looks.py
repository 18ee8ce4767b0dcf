"""What a tool looks like by its name, its arguments and what its server says: a hint for its owner, no decision."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from langgraph_speculate.policy.annotations import Annotations, harmless
from langgraph_speculate.traces.deeds import change_in, reads, words_of

Kind = Literal["reads", "writes", "leaves", "depends", "unclear"]

_WEB = "bing browse browser crawl duckduckgo google http https internet scrape tavily url web webpage website"
_LEAVES = frozenset(_WEB.split())
_PLACES = frozenset({"domain", "endpoint", "href", "hostname", "link", "links", "uri", "url", "urls", "webhook"})
_PEOPLE = frozenset({"bcc", "cc", "email", "emails", "phone", "recipient", "recipients", "subject", "to"})
_PROGRAMS = frozenset({"bash", "cmd", "code", "command", "commands", "python", "script", "shell", "sql", "statement"})


@dataclass(frozen=True, slots=True)
class Looks:
    """What a tool looks like.

    Attributes:
        kind: `reads`: as if it only reads. `writes`: as if it changes something. `leaves`: as if it leaves the trust
            boundary. `depends`: it does what its arguments say. `unclear`: it cannot be told.
        why: What that rests on, in words.
    """

    kind: Kind
    why: str

    def __str__(self) -> str:
        return f"{_SENTENCES[self.kind]} ({self.why})" if self.why else _SENTENCES[self.kind]


_SENTENCES = {
    "reads": "looks as if it only reads",
    "writes": "looks as if it changes something",
    "leaves": "looks as if it leaves your trust boundary",
    "depends": "does what its arguments say",
    "unclear": "what it does cannot be told by its name",
}


def looks_of(name: str, arguments: Collection[str], said: Annotations | None = None) -> Looks:
    """What a tool looks like; doubt is never taken for reading.

    Args:
        name: The tool's name.
        arguments: Names of its arguments.
        said: What its server says about it.

    >>> looks_of("get_order", ["order_id"]).kind, looks_of("send_mail", ["to"]).kind, looks_of("get_page", ["url"]).kind
    ('reads', 'writes', 'leaves')
    """
    if said is not None and (told := _by_annotations(said)) is not None:
        return told
    words, reading = words_of(name), reads(name)
    given = [argument.lower() for argument in arguments]
    if doing := change_in(name):
        return Looks("writes", f"{doing!r} in its name")
    if program := _among([*words, *given], _PROGRAMS):
        return Looks("depends", f"{program!r}")
    if place := _among(given, _PLACES):
        return Looks("leaves", f"its argument {place!r}")
    if web := _among(words, _LEAVES):
        return Looks("leaves", f"{web!r} in its name")
    if not reading and (person := _among(given, _PEOPLE)):
        return Looks("writes", f"its argument {person!r}")
    return Looks("reads", "by its name") if reading else Looks("unclear", "")


def _among(words: Collection[str], known: frozenset[str]) -> str | None:
    return next((word for word in words if word in known), None)


def _by_annotations(said: Annotations) -> Looks | None:
    if said.read_only is False or said.destructive is True:
        return Looks("writes", "its server says so")
    if said.open_world is True:
        return Looks("leaves", "its server says so")
    return Looks("reads", "its server says so") if harmless(said) else None
