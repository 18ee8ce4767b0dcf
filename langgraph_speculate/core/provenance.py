"""Where the values of a predicted call come from: who named its destinations, and what they have not seen yet.

Two bits per value, after FIDES (Costa et al., arXiv 2505.23643). *Integrity*: what the user said is trusted, and what
tools with `trusted_output` answered; other results are not, nor is what the model wrote after it saw one. A value has
the label of **all** the places it may come from, so one that the user named and a web page too is untrusted.
*Confidentiality*: every value is private, and may go only where it went before; that its owner declared arguments
public is the business of `egress.py`.

Doubt is untrusted and private: what cannot be read, what is too long to be read, what nobody is known to have named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.canonical import canonical_key
from langgraph_speculate.core.destinations import destinations, hosts_named
from langgraph_speculate.core.history import History, ModelTurn, PastCall, UserTurn
from langgraph_speculate.core.readings import readings
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.policy.hosts import unicode_of

_MAX_TEXT = 100_000  # characters read of one text; a longer one may say anything
_MAX_TEXTS = 500_000  # and of all of a thread
_MAX_CALLS = 50  # earlier calls, the newest, that are searched for what was sent before
_NO_LETTER = re.compile(r"[\W_]+")
_NO_ASCII_LETTER = bytes(code for code in range(128) if not chr(code).isalnum())


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of where a call goes and of where its arguments come from.

    Attributes:
        destinations: The hosts its arguments name, in normal form. Empty for a tool that knows its own.
        complaint: Why its destinations cannot be told, or None. With one, nothing may be sent.
        untrusted_hosts: The destinations that neither the user nor a trusted result named, or that an untrusted text
            names too.
        unsent: Names of the arguments whose values no earlier real call of this tool carried to these destinations.
    """

    destinations: frozenset[str] = frozenset()
    complaint: str | None = None
    untrusted_hosts: frozenset[str] = frozenset()
    unsent: frozenset[str] = frozenset()


def provenance(
    call: Call,
    history: History,
    trusted_output: Callable[[str], bool],
    coerced: Callable[[Call], Call | None] = lambda call: call,
) -> Provenance:
    """Return where *call* would go and where its arguments come from.

    Args:
        call: The call as its tool would receive it.
        history: The thread so far.
        trusted_output: Whether a tool's results may choose where calls are sent, by its name.
        coerced: An earlier call as its tool received it, with defaults filled in, or None. What the model wrote has
            them not, and *call* has.

    Never raises; its time is linear in what it reads, which is bounded.

    >>> history = History.from_messages([{"role": "user", "content": "What is new on docs.python.org?"}])
    >>> found = provenance(Call("fetch", {"url": "https://docs.python.org/3/"}), history, lambda tool: False)
    >>> found.untrusted_hosts, found.unsent
    (frozenset(), frozenset({'url'}))
    """
    hosts: frozenset[str] = frozenset()
    try:
        hosts, complaint = destinations(call.args)
        untrusted = _untrusted(hosts, history, trusted_output)
        return Provenance(hosts, complaint, untrusted, _unsent(call, hosts, history, coerced))
    except Exception as error:  # noqa: BLE001 - doubt is untrusted, whatever its shape
        return Provenance(hosts, f"where the call comes from cannot be told ({type(error).__name__})", hosts)


def _untrusted(hosts: frozenset[str], history: History, trusted_output: Callable[[str], bool]) -> frozenset[str]:
    """The hosts that nobody trusted named, or that somebody else named too."""
    if not hosts:
        return hosts
    spellings = {host: frozenset({_bare(host), _bare(unicode_of(host))}) for host in hosts}
    trusted: set[str] = set()
    tainted: set[str] = set()
    left = _MAX_TEXTS
    for text, is_trusted in _texts(history, trusted_output):
        left -= len(text)
        mentioned = _mentioned(text, spellings) if left >= 0 and len(text) <= _MAX_TEXT else None
        if is_trusted:
            trusted |= hosts_named(text) if mentioned else frozenset()
        elif mentioned is None:
            return hosts
        else:
            tainted |= mentioned
            if tainted >= hosts:
                break
    return (hosts - trusted) | tainted


def _texts(history: History, trusted_output: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    """The texts of a thread that tell where a host may come from, each with whether it is trusted.

    What the model writes before it saw anything untrusted comes from its instructions and the user; it neither adds
    trust nor takes it away.
    """
    seen_untrusted = derived = False
    for event in history.events:
        if isinstance(event, UserTurn):
            seen_untrusted = seen_untrusted or not event.own
            yield event.text, event.own
        elif isinstance(event, ModelTurn):
            derived = seen_untrusted  # its calls were written before their own results came
            if derived:
                yield event.text, False
        elif isinstance(event, PastCall):
            if derived:
                yield _written(event.args), False
            if event.result is not None:
                is_trusted = trusted_output(event.name) is True
                seen_untrusted = seen_untrusted or not is_trusted
                yield event.result, is_trusted


def _written(args: Mapping[str, Any]) -> str:
    """Arguments as a text to be searched. Raises for what no model writes."""
    return orjson.dumps(dict(args)).decode()


def _bare(text: str) -> str:
    if text.isascii():  # ten times faster, and most results are
        return text.lower().encode().translate(None, _NO_ASCII_LETTER).decode()
    return _NO_LETTER.sub("", text.casefold())


def _mentioned(text: str, spellings: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """The hosts that *text* may name, in whatever disguise; None when it cannot be read to its end.

    Compared by letters and digits alone, so that neither `docs[.]python[.]org` nor a line break hides one. That takes
    some words for hosts that are none, which costs no more than a wait for the model.
    """
    found, ended = readings(text)
    if not ended:
        return None
    bare = [_bare(reading) for reading in found]
    return frozenset(
        host
        for host, spelled in spellings.items()
        if any(spelling in reading for spelling in spelled for reading in bare)
    )


def _unsent(
    call: Call, hosts: frozenset[str], history: History, coerced: Callable[[Call], Call | None]
) -> frozenset[str]:
    """The arguments that no earlier call of the same tool brought to the same hosts.

    Only calls that were answered well count: another may never have left. Calls of other tools do not, even where they
    name the same host, because naming is not sending.
    """
    wanted = {name: _value_key(value) for name, value in call.args.items()}
    missing = frozenset(wanted)
    for past in reversed(history.calls[-_MAX_CALLS:]):
        if not missing:
            break
        if past.name != call.name or past.status != "success":
            continue
        received = coerced(past.call)
        if received is None:
            continue
        known = frozenset(
            name
            for name, key in wanted.items()
            if key is not None and name in received.args and _value_key(received.args[name]) == key
        )
        # Of several hosts, one may have seen what another has not: there, only a whole call tells.
        tells = known & missing if len(hosts) <= 1 else known == missing
        if tells and destinations(received.args) == (hosts, None):
            missing -= known
    return missing


def _value_key(value: Any) -> str | None:
    try:
        return canonical_key("", {"": value})
    except UnkeyableArguments:
        return None
