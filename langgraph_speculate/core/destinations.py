"""Where a call would be sent: every host its arguments name, in every way they may be read.

Readers of URLs disagree: a browser skips line breaks and turns backslashes, others do not. So each text is taken in
all its readings (`readings.py`), and a host counts if any of them names it. What looks like a destination but is not
written in the one plain way that all readers take alike is a complaint: then nothing may be sent, whoever is named.
Guessing too much here costs latency, guessing too little tells somebody something.

What a host is, and which are public: `policy/hosts.py`. The grammar is that of WHATWG URL, without its leniency.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from langgraph_speculate.core.readings import INVISIBLE, readings
from langgraph_speculate.policy.checks import shown
from langgraph_speculate.policy.hosts import address_of, normal_host, not_public

_MAX_TEXT = 50_000  # characters of one call, all readings together
_MAX_VALUES = 2_000  # and URLs
_MAX_DEPTH = 16
_MAX_NAMED = 500  # words of a message that may be hosts
_MAX_AUTHORITY = 400  # characters between the slashes of a URL
_MAX_TAIL = 2_000  # characters of a URL after its host that are searched for another one

# Two slashes and more, not in the middle of a path.
_SLASHES = re.compile(r"(?<=:)[/\\]{2,}|(?<![\w./\\:-])[/\\]{2,}(?=\S)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\Z")
_MAX_SCHEME = 32
# A scheme that some readers take without slashes, or that carries content or commands of its own.
_BARE_SCHEME = re.compile(
    r"(?<![\w+.-])(?:https?|wss?|s?ftps?|file|data|javascript|vbscript|blob|filesystem|view-source|gopher|ldaps?|dict|tftp"
    r"|smb|jar|intent|mailto|tel|sms):(?!//)(?=\S)",
    re.IGNORECASE,
)
_BEGINS_A_URL = re.compile(r"https?:|//", re.IGNORECASE)
_AUTHORITY_END = re.compile(r"[\s/?#]")
_AFTER_A_URL = ".,;:!?)]}>\"'`*_|"  # what may follow a URL that ends with its host, in a sentence
_UNCERTAIN = re.compile(rf"[\s\\]|{INVISIBLE.pattern}")
_QUAD = re.compile(r"[0-9]+(\.[0-9]+){3}")
_MAIL = re.compile(r"[\w.+-]+@[\w.-]+")
_WORD_OF_A_TEXT = re.compile(r"[^\s\"'<>()\[\]{}|`,;]+")
_WORD_OF_A_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SAY_ADDRESS = """callback domain endpoint feed host hostname href ip link mirror proxy redirect server site src uri url
 webhook website"""
_ADDRESS_WORDS = frozenset(_SAY_ADDRESS.split())
_ADDRESS_ENDS = ("url", "urls", "uri", "uris", "domain", "hostname", "endpoint", "website")
_ABOUT_AN_ADDRESS = frozenset({"count", "id", "ids", "index", "kind", "limit", "port", "size", "text", "title", "type"})

_USER_NAME = "has an '@' where a host may end"
_NOT_HTTP = "has a URL that is not written with http:// or https://"
_TOO_LARGE = "is too large to be read for destinations"


def destinations(args: Mapping[str, Any]) -> tuple[frozenset[str], str | None]:
    """Return the normal forms of all hosts that the arguments of a call name, and why they cannot all be told, or None.

    With a complaint nothing may be sent. Never raises; a complaint repeats no value but a host in normal form.

    >>> sorted(destinations({"url": "https://docs.python.org/3/?next=https%3A%2F%2Fevil.example", "limit": 3})[0])
    ['docs.python.org', 'evil.example']
    >>> destinations({"url": "https://docs.python.org@evil.example/"})[1]
    "'url' has an '@' where a host may end"
    """
    search = _Search()
    try:
        for name, value in args.items():
            search.argument = name
            search.look(value, addressed=_names_an_address(name))
    except Exception:  # noqa: BLE001 - reading a value may run its own code; what cannot be read is not sent
        search.complain("cannot be read")
    return frozenset(search.hosts), search.complaint


def hosts_named(text: str) -> frozenset[str]:
    """Return the hosts that a message names beyond doubt, as URLs or as bare names with a dot.

    Of a long text, those that come first.

    >>> sorted(hosts_named("Is it on docs.python.org, or see https://peps.python.org/pep-0008/?"))
    ['docs.python.org', 'peps.python.org']
    """
    found: set[str] = set()
    words = (match[0] for match in _WORD_OF_A_TEXT.finditer(text))
    for word in islice((word for word in words if "." in word), _MAX_NAMED):
        hosts, complaint = destinations({"": word.strip("*_").rstrip(_AFTER_A_URL)})
        found |= hosts if complaint is None else frozenset()
    return frozenset(found)


class _Pairs(list[Any]):
    """The pairs of a JSON object, all of them: a dict would keep the last of two equal keys."""


class _Search:
    """Collects the hosts of one call, and the first complaint."""

    def __init__(self) -> None:
        self.argument: Any = ""
        self.hosts: set[str] = set()
        self.complaint: str | None = None
        self._values = _MAX_VALUES
        self._text = _MAX_TEXT

    def complain(self, what: str) -> None:
        if self.complaint is None:
            self.complaint = f"{shown(self.argument)} {what}"

    def look(self, value: Any, *, addressed: bool, depth: int = 0) -> None:
        """Look through one value; *addressed* if its name says that it is an address."""
        self._values -= 1
        if depth > _MAX_DEPTH or self._values < 0 or self._text < 0:
            self.complain(_TOO_LARGE)
            return
        if isinstance(value, enum.Enum):
            value = value.value
        text = _text(value)
        if text is not None:
            # A number is an address only where one is expected: there, 2130706433 is 127.0.0.1.
            if addressed or not isinstance(value, int | float):
                self._look_at_text(text, addressed, depth)
        elif isinstance(value, list | tuple | set | frozenset) and not isinstance(value, _Pairs):
            for item in value:
                self.look(item, addressed=addressed, depth=depth + 1)
        elif not isinstance(value, _HARMLESS):
            self._look_at_pairs(_pairs(value), addressed, depth)

    def _look_at_pairs(self, pairs: Sequence[tuple[Any, Any]] | None, addressed: bool, depth: int) -> None:
        if pairs is None:
            self.complain("is of a kind that cannot be read for destinations")
            return
        for key, value in pairs:
            inherits = addressed and not isinstance(value, int | float)  # but not the port beside a host
            self.look(key, addressed=False, depth=depth + 1)
            self.look(value, addressed=inherits or _names_an_address(key), depth=depth + 1)

    def _look_at_text(self, text: str, addressed: bool, depth: int) -> None:
        if len(text) > self._text:
            self.complain(_TOO_LARGE)
            return
        found, ended = readings(text)
        self._text -= sum(map(len, found))
        if not ended:
            self.complain("is encoded too often to be read for destinations")
        for at, reading in enumerate(found):
            inner = _json(reading)
            if inner is not None:
                self.look(inner, addressed=addressed, depth=depth + 1)
            # Without an escape in it, JSON holds nothing that its parts do not, but puts quotes next to hosts.
            if inner is None or "\\" in reading:
                self._scan(reading)
            if inner is None:
                self._look_at_whole(reading, addressed and at == 0, strictly=at == 0)

    def _look_at_whole(self, text: str, addressed: bool, strictly: bool) -> None:
        """A text that may be a URL or a host from beginning to end."""
        begins_a_url = _BEGINS_A_URL.match(text.lstrip(" "))
        if strictly and (addressed or begins_a_url) and _UNCERTAIN.search(text):
            self.complain("has spaces, backslashes or invisible characters where a URL is expected")
        text = text.strip(" ")
        if begins_a_url or not text or text[0] in "/?#":
            return  # the scan has it, or it is relative to wherever the tool is sent anyway
        authority = _authority_of(text, 0)
        if addressed or _looks_like_a_host(text, authority):
            self._authority(authority)

    def _scan(self, text: str) -> None:
        """URLs anywhere in a text."""
        if _BARE_SCHEME.search(text):
            self.complain(_NOT_HTTP)
        begins_a_url = _BEGINS_A_URL.match(text.lstrip(" ")) is not None
        for order, match in enumerate(_SLASHES.finditer(text)):
            self._values -= 1
            if self._values < 0:
                self.complain(_TOO_LARGE)
                return
            at, end = match.span()
            if text[at - 1 : at] == ":":
                scheme = _SCHEME.search(text[max(0, at - _MAX_SCHEME) : at])
                if scheme is None or scheme[0].lower() not in ("http:", "https:"):
                    self.complain(_NOT_HTTP)
            if match[0] != "//":
                self.complain("has a URL with other slashes than //")
            authority = _authority_of(text, end)
            tail = text[end + len(authority) :][:_MAX_TAIL]
            if tail[:1] in ("?", "#") and "@" in tail.split(maxsplit=1)[0]:
                self.complain(_USER_NAME)  # old readers end a host only at a slash
            exact = (order == 0 and begins_a_url) or (authority.startswith("[") and authority.endswith("]"))
            self._authority(authority if exact else authority.rstrip(_AFTER_A_URL))

    def _authority(self, text: str) -> None:
        """What stands between the slashes of a URL: a host, perhaps with a port, and nothing else."""
        if "@" in text:
            self.complain(_USER_NAME)
            text = text.rpartition("@")[2]
        host = normal_host(text) if len(text) <= _MAX_AUTHORITY else None
        if host is None:
            self.complain("has something in the place of a host that is none")
            return
        self.hosts.add(host)
        if INVISIBLE.search(text) or not _is_read_alike(text, host):
            self.complain("has a host that is not written in the one way all read alike")
        elif complaint := not_public(host):
            self.complain(f"names {host}, which {complaint}")


def _authority_of(text: str, at: int) -> str:
    return _AUTHORITY_END.split(text[at : at + _MAX_AUTHORITY + 1], maxsplit=1)[0]


def _looks_like_a_host(text: str, authority: str) -> bool:
    """Whether one word without a scheme may be taken for a host: it ends like a public name, or is a full address."""
    if any(map(str.isspace, text)) or _MAIL.fullmatch(text):
        return False
    last = re.split(r"[@\\]", authority)[-1]
    host = normal_host(last)
    if host is None or host == "localhost":
        return host is not None
    if address_of(host) is not None:
        return ":" in host or _QUAD.match(last) is not None  # 3.12 is a version
    return "." in host and len(host.rpartition(".")[2]) > 1


def _is_read_alike(text: str, host: str) -> bool:
    """Whether readers by IDNA 2003 and 2008, and readers of addresses old and new, take *text* for the same host."""
    name = text.rpartition(":")[0] if text.count(":") == 1 else text
    if address_of(host) is not None:
        return ":" in host or name == host  # 010.8.8.8 is 8.8.8.8 for some, and 10.8.8.8 for others
    try:
        return name.isascii() or name.encode("idna").decode("ascii").lower().rstrip(".") == host
    except UnicodeError:
        return True  # whoever reads by IDNA 2003 does not get anywhere


def _names_an_address(name: Any) -> bool:
    """Whether the name of an argument says that its value is a URL or a host.

    >>> [name for name in ("base_url", "imageUrl", "site", "site_id", "query", "hosts") if _names_an_address(name)]
    ['base_url', 'imageUrl', 'site', 'hosts']
    """
    if not isinstance(name, str):
        return False
    words = [word.lower() for word in _WORD_OF_A_NAME.findall(name[:200])]
    if not words or words[-1] in _ABOUT_AN_ADDRESS:
        return False
    return any(word.removesuffix("s") in _ADDRESS_WORDS or word.endswith(_ADDRESS_ENDS) for word in words)


_HARMLESS = (type(None), bool, complex, Decimal, UUID, date, time, timedelta)


def _text(value: Any) -> str | None:
    """The text that a plain value is sent as, or None for what is none."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8")
    if isinstance(value, int | float | PurePath) and not isinstance(value, bool):
        return str(value)
    return None


def _pairs(value: Any) -> Sequence[tuple[Any, Any]] | None:
    """Names and values of a mapping, a dataclass or a pydantic model; None for everything else."""
    if isinstance(value, _Pairs):
        return value
    if isinstance(value, Mapping):
        return list(value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(item.name, getattr(value, item.name)) for item in dataclasses.fields(value)]
    fields = getattr(type(value), "model_fields", None)  # a pydantic model, without importing pydantic
    if isinstance(fields, Mapping):
        extra = getattr(value, "model_extra", None) or {}
        return [*((name, getattr(value, name)) for name in fields), *extra.items()]
    return None


def _json(text: str) -> Any:
    """The object, list or text that *text* is as JSON, or None where it is something else."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except ValueError:
        return None
