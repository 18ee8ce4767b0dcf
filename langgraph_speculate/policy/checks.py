"""What one setting of a policy may hold, and how a mistake is told.

A check takes a value and returns why it will not do, or None. Nothing here knows which settings exist: the records in
`settings.py`, `tool.py` and `limits.py` name their own, each with its check.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy.hosts import host_problem
from langgraph_speculate.policy.templates import template_problem

Check = Callable[[Any], str | None]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_RATE = "must be a rate such as '5/second' or '600/minute'"
_SHOWN = 60  # characters of a wrong value that a message repeats


def problems(values: Mapping[Any, Any], checks: Mapping[str, Check], path: str = "") -> Iterator[str]:
    """Yield one line for every key nobody knows and every value that will not do, each with its path."""
    for key, value in values.items():
        if not isinstance(key, str) or key not in checks:
            yield f"{located(path, key)}: unknown key{did_you_mean(key, checks)}"
        elif complaint := checks[key](value):
            yield f"{located(path, key)}: {complaint}"


def refuse_any(found: Iterable[str], source: str = "") -> None:
    """Raise one `PolicyError` that lists everything found, or nothing if there is nothing."""
    lines = list(found)
    if not lines:
        return
    where = f"{source}: " if source else ""
    if len(lines) == 1:
        raise PolicyError(where + lines[0])
    raise PolicyError(f"{where}{len(lines)} problems\n" + "\n".join(f"  {line}" for line in lines))


def located(path: str, key: object) -> str:
    """Add *key* to a dotted path, quoted where TOML would quote it.

    >>> located("tools", "search_*")
    'tools."search_*"'
    """
    text = printable(key if isinstance(key, str) else shown(key))
    part = text if _BARE_KEY.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'
    return f"{path}.{part}" if path else part


def printable(text: str, most: int = _SHOWN) -> str:
    """Return *text* as one line of at most *most* characters that ends where it should, whatever is in it.

    >>> printable("get\\x1b[31m_order\\n")
    'get\\\\x1b[31m_order\\\\n'
    """
    plain = text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= most else plain[:most] + "…"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return `"; did you mean 'read_only'?"` for the known name closest to *name*, or nothing when none is close.

    >>> did_you_mean("Read-Onyl", ["reads", "read_only"])
    "; did you mean 'read_only'?"
    """
    by_plain_form = {_plain_form(option): option for option in known}
    close = difflib.get_close_matches(_plain_form(str(name)), by_plain_form, n=1)
    return f"; did you mean {by_plain_form[close[0]]!r}?" if close else ""


def nearest(name: str, known: Collection[str]) -> str:
    """Return the same, or a few of the known names when none is close.

    >>> nearest("track", ["get_order"])
    '; there are get_order'
    """
    few = ", ".join(map(printable, sorted(known)[:5])) or "none"
    return did_you_mean(name, known) or f"; there are {few}{', …' if len(known) > 5 else ''}"


def boolean(value: Any) -> str | None:
    """True or False; neither 1, nor "yes"."""
    return None if isinstance(value, bool) else _wrong("must be true or false", value)


def optional_boolean(value: Any) -> str | None:
    """True, False, or None for "not said"."""
    return None if value is None else boolean(value)


def count(value: Any) -> str | None:
    """A whole number from 0."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if fits else _wrong("must be a whole number >= 0", value)


def positive_count(value: Any) -> str | None:
    """A whole number from 1."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return None if fits else _wrong("must be a whole number >= 1", value)


def seconds(value: Any) -> str | None:
    """A finite number of seconds from 0."""
    return None if _is_finite(value) and value >= 0 else _wrong("must be a finite number of seconds >= 0", value)


def positive_seconds(value: Any) -> str | None:
    """A finite number of seconds above 0."""
    return None if _is_finite(value) and value > 0 else _wrong("must be a finite number of seconds > 0", value)


def amount(value: Any) -> str | None:
    """A finite sum of money from 0."""
    return None if _is_finite(value) and value >= 0 else _wrong("must be a finite amount >= 0", value)


def optional_amount(value: Any) -> str | None:
    """A finite sum of money from 0, or None for "not said"."""
    return None if value is None else amount(value)


def positive_amount(value: Any) -> str | None:
    """A finite sum of money above 0."""
    return None if _is_finite(value) and value > 0 else _wrong("must be a finite amount > 0", value)


def share(value: Any) -> str | None:
    """A number from 0 to 1."""
    return None if _is_finite(value) and 0 <= value <= 1 else _wrong("must be a number from 0 to 1", value)


def optional_rate(value: Any) -> str | None:
    """A rate in the notation of `limits`, such as `"5/second"` or `"600 per minute"`, or None."""
    if value is None:
        return None
    from limits import parse as rate_of  # a tenth of a second, which most policies can do without

    try:
        return None if isinstance(value, str) and rate_of(value).amount > 0 else _wrong(_RATE, value)
    except ValueError:
        return _wrong(_RATE, value)


def rate(value: Any) -> str | None:
    """A rate in the same notation."""
    return _wrong(_RATE, value) if value is None else optional_rate(value)


def by_service(check: Check, what: str) -> Check:
    """Return a check for a table of *what*, each fit by *check*, by the name of a service."""

    def check_all(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return _wrong(f"must be a table of {what}", value)
        for name, declared in value.items():
            if not isinstance(name, str) or not name:
                return _wrong("the name of a service is text, not empty", name)
            if complaint := check(declared):
                return f"{printable(name)}: {complaint}"
        return None

    return check_all


def one_of(options: Collection[str]) -> Check:
    """Return a check for one of *options*."""

    def check(value: Any) -> str | None:
        if isinstance(value, str) and value in options:
            return None
        expected = "must be one of " + ", ".join(repr(option) for option in options)
        hint = did_you_mean(value, options) if isinstance(value, str) else ""
        return _wrong(expected, value) + hint

    return check


def optional_count(value: Any) -> str | None:
    """A whole number from 0, or None for "not said"."""
    return None if value is None else count(value)


def optional_text(value: Any) -> str | None:
    """Text that is not empty, or None."""
    return None if value is None or (isinstance(value, str) and value) else _wrong("must be text, not empty", value)


def texts(value: Any) -> str | None:
    """A list or tuple of texts that are not empty. One text alone is a mistake: it would be read letter by letter."""
    if isinstance(value, str):
        return _wrong("must be a list", value) + f"; did you mean [{value!r}]?"
    if not isinstance(value, list | tuple):
        return _wrong("must be a list of texts", value)
    wrong = [item for item in value if not isinstance(item, str) or not item]
    return _wrong("must hold only texts, none empty", wrong[0]) if wrong else None


def texts_of(options: Collection[str]) -> Check:
    """Return a check for a list of *options*."""
    single = one_of(options)

    def check(value: Any) -> str | None:
        return texts(value) or next((f"each {complaint}" for item in value if (complaint := single(item))), None)

    return check


def templates(value: Any) -> str | None:
    """A list of resource templates such as `"order:{order_id}"`."""
    return texts(value) or next((complaint for item in value if (complaint := template_problem(item))), None)


def hosts(value: Any) -> str | None:
    """A list of hosts such as `"docs.python.org"`, or `"*.example.org"` for all below one."""
    return texts(value) or next((complaint for item in value if (complaint := host_problem(item))), None)


def optional_templates(value: Any) -> str | None:
    """A list of resource templates, or None for "not said"."""
    return None if value is None else templates(value)


def auto_or_texts(value: Any) -> str | None:
    """The word "auto", or a list of texts."""
    if value == "auto" and isinstance(value, str):
        return None
    return f"{complaint} (or 'auto')" if (complaint := texts(value)) else None


def mapping(value: Any) -> str | None:
    """A table; what is in it is checked elsewhere."""
    return None if isinstance(value, Mapping) else _wrong("must be a table", value)


def anything(_value: Any) -> str | None:
    """Whatever; it is checked elsewhere."""
    return None


def context_variables(value: Any) -> str | None:
    """A list or tuple of `ContextVar`s."""
    if isinstance(value, list | tuple) and all(isinstance(item, ContextVar) for item in value):
        return None
    return _wrong("must be a list of ContextVar objects, so it can only be set in code", value)


def optional_function(value: Any) -> str | None:
    """A function, or None."""
    fits = value is None or callable(value)
    return None if fits else _wrong("must be a function, so it can only be set in code", value)


def optional_limiter(value: Any) -> str | None:
    """What has the verb `acquire(blocking=...)` of LangChain's rate limiters, or None."""
    fits = value is None or callable(getattr(value, "acquire", None))
    return None if fits else _wrong("must be a rate limiter of LangChain, so it can only be set in code", value)


def guards(value: Any) -> str | None:
    """A list or tuple of plain functions."""
    if not isinstance(value, list | tuple) or not all(callable(item) for item in value):
        return _wrong("must be a list of functions, so it can only be set in code", value)
    waiting = [item for item in value if any(map(inspect.iscoroutinefunction, (item, type(item).__call__)))]
    return f"{shown(waiting[0])} is async; a guard answers at once" if waiting else None


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False


def _wrong(expected: str, value: Any) -> str:
    return f"{expected}, got {shown(value)}"


def shown(value: Any) -> str:
    """Return a wrong value as a message repeats it, shortened."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a value that cannot be shown, or an int with too many digits, is told by its type
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _plain_form(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
