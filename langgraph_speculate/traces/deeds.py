"""What a tool's name says that it does: read, or change something.

A hint from words alone, for reports and for owners who are about to decide: whether anything may run ahead is said by a
policy and by nothing else. Doubt is not taken for reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAMESPACE = re.compile(r"(?<=\w)(?:__|[.:/])(?=\w)")  # as in mcp__shop__get_order, github.search_issues
_SERVICES = """asana aws azure confluence db docker drive filesystem fs gcp git github gitlab gmail google graph hubspot
 jira kb kubectl linear mcp mongo mongodb mysql notion pg postgres redis salesforce shopify slack sql sqlite stripe
 tavily trello wikipedia zendesk"""
_PROVIDERS = frozenset(_SERVICES.split())

_LOOKING = """browse calculate cat check count describe fetch find get glob grep inspect list locate look lookup ls
 query read retrieve search show think track verify view"""
_READS = frozenset(_LOOKING.split())
_PLAIN = frozenset({"describe", "fetch", "find", "get", "list", "retrieve"})  # verbs wherever more words follow
_LAST = frozenset({"fetch", "get", "lookup", "retrieve", "search"})  # as in web_search
_LAST_BUT = frozenset({"list", "read"})  # as in file_read, but not in mark_read
_OTHERWISE = frozenset(
    {("check", "in"), ("check", "out"), ("look", "away")}
)  # two words that mean something else than the first

_CHANGING = """ack acknowledge add append apply approve archive assign authorize ban block book buy cancel charge clear
 close commit copy create delete deploy disable drop edit enable exchange execute generate grant insert install invite
 kill lock log mark merge modify move notify open order pay place post publish purchase push put refund register reject
 remove rename replace reply reserve reset restart revoke run save schedule send set share start stop store submit
 subscribe terminate toggle transfer trigger uninstall unlock update upload upsert write"""
_WRITES = frozenset(_CHANGING.split())
_THINGS = """archive block charge close commit copy deploy edit exchange grant install invite lock log mark merge open
 order pay place post purchase refund register reply reserve run schedule set share start stop store transfer trigger
 update"""
_ALSO_NOUNS = frozenset(_THINGS.split())
_JOINS = frozenset({"and", "or", "then"})


def words_of(name: str) -> list[str]:
    """The words of a name in small letters, whatever keeps them apart.

    >>> words_of("getOrder"), words_of("mcp__shop__get-order")
    (['get', 'order'], ['mcp', 'shop', 'get', 'order'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def change_in(name: str) -> str | None:
    """The word of a name that says that something is changed, or None.

    >>> change_in("get_order"), change_in("order_pizza"), change_in("fetch_and_store")
    (None, 'order', 'store')
    """
    return _change(_said(name))


def reads(name: str) -> bool:
    """Whether a name says that the tool only reads.

    >>> [reads(name) for name in ("getOrder", "github_get_issue", "get_or_create_user", "check_in_guest")]
    [True, True, False, False]
    """
    words = _said(name)
    if not words or _change(words) is not None or tuple(words[:2]) in _OTHERWISE:
        return False
    last = words[-1] in _LAST or (words[-1] in _LAST_BUT and _WRITES.isdisjoint(words[-2:-1]))
    return words[0] in _READS or last or not _PLAIN.isdisjoint(words[:-1])


def _said(name: str) -> Sequence[str]:
    """The words of a name without whose tool it is: namespaces and services before them."""
    words = words_of(_NAMESPACE.split(name)[-1]) or words_of(name)
    while words[1:] and words[0] in _PROVIDERS:
        del words[0]
    return words


def _change(words: Sequence[str]) -> str | None:
    return next((word for at, word in enumerate(words) if _changes(words, at)), None)


def _changes(words: Sequence[str], at: int) -> bool:
    # "order" in get_order and order_lookup is a thing, and "open" in list_open_orders its state; first in a name, or
    # joined to what it does besides, both are to be done.
    if words[at] not in _ALSO_NOUNS:
        return words[at] in _WRITES
    if at == 0:
        return words[-1] not in _LAST or words[1] in _JOINS
    return words[at - 1] in _JOINS
