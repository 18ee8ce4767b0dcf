"""Which ways of coming by an argument are found, and after how many runs: made-up recordings, one pattern each.

    python -m benchmarks.patterns

Every run says something, looks something up and then makes the call that counts, with values that no other run has. The
table tells how often that call was the first guess, in percent, after so many runs were learned.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from benchmarks.progress import progress
from benchmarks.traces import Run
from langgraph_speculate.predict import default_predictor

STAGES = (5, 20, 100)  # runs learned
_TRIED = 25  # runs predicted, and not learned
_NAMES = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "kelp", "lotus")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
_FIRST_LINE = (__doc__ or "").split("\n")[0]


class Example(NamedTuple):
    """What the user said, what a tool answered (None: none was asked), and the arguments of the call that follows."""

    said: str
    found: Any
    args: dict[str, Any]


def _found(result: Any, **args: Any) -> Example:
    return Example("Please look into it.", result, args)


def _said(text: str, **args: Any) -> Example:
    return Example(text, None, args)


def _number(draw: Random) -> int:
    return draw.randrange(10_000, 99_999)


def _hex(draw: Random, length: int = 8) -> str:
    return "".join(draw.choice("0123456789abcdef") for _ in range(length))


def _random(draw: Random) -> str:
    return "cus_" + "".join(draw.choice(_LETTERS) for _ in range(14))


def _day(draw: Random) -> date:
    return date(2024, 1, 1) + timedelta(days=draw.randrange(700))


def _path(draw: Random) -> str:
    return "".join(f"/{draw.choice(_NAMES)}" for _ in range(draw.randrange(2, 6))) + f"-{_hex(draw, 3)}.log"


def _repository(draw: Random) -> tuple[str, str]:
    return f"{draw.choice(_NAMES)}-{_hex(draw, 3)}", f"{draw.choice(_NAMES)}-{draw.choice(_NAMES)}"


def _rows(draw: Random, right: Mapping[str, Any], wrong: Mapping[str, Any]) -> Example:
    """A list in which one record, anywhere, is the right one."""
    ids = [_hex(draw) for _ in range(draw.randrange(3, 8))]
    chosen = draw.choice(ids)
    return _found({"rows": [{"id": one, **(right if one == chosen else wrong)} for one in ids]}, id=chosen)


def _named(draw: Random) -> Example:
    names, ids = draw.sample(_NAMES, 6), [_hex(draw) for _ in range(6)]
    at = draw.randrange(6)
    rows = [{"id": one, "name": name} for one, name in zip(ids, names, strict=True)]
    return Example(f"What about the {names[at]} project?", {"rows": rows}, {"id": ids[at]})


def _filled(template: str) -> Callable[[Random], Example]:
    return lambda draw: _found({"id": (one := _hex(draw))}, q=template.format(one))


def _last(draw: Random) -> Example:
    ids = [_hex(draw) for _ in range(draw.randrange(12, 30))]
    return _found({"rows": [{"id": one} for one in ids]}, id=ids[-1])


def _joined(draw: Random) -> Example:
    owner, name = _repository(draw)
    return _found({"owner": owner, "name": name}, repo=f"{owner}/{name}")


def _parted(draw: Random) -> Example:
    owner, name = _repository(draw)
    return _found({"full_name": f"{owner}/{name}"}, owner=owner, repo=name)


def _shifted(days: int) -> Callable[[Random], Example]:
    return lambda draw: _found({"on": str(day := _day(draw))}, date=str(day + timedelta(days=days)))


PATTERNS: Mapping[str, Callable[[Random], Example]] = {
    "a value of a JSON result": lambda draw: _found({"id": (one := _hex(draw)), "of": _hex(draw)}, id=one),
    "a number the user said, as a number": lambda draw: _said(f"Where is order {(n := _number(draw))}?", id=n),
    "#123 the user said, as a number": lambda draw: _said(f"Review #{(n := _number(draw))}.", id=n),
    "a labelled number in a text, as a number": lambda draw: _found(
        f"Total: {_number(draw)}\nOrder ID: {(n := _number(draw))}", id=n
    ),
    "a number of a JSON result, as text": lambda draw: _found({"id": (n := _number(draw))}, id=str(n)),
    "one more than a number": lambda draw: _found({"page": (n := _number(draw))}, page=n + 1),
    "the day after": _shifted(1),
    "the day before": _shifted(-1),
    "a list of one": lambda draw: _found({"id": (one := _hex(draw))}, ids=[one]),
    "a UUID the user said": lambda draw: _said(f"Check {(one := UUID(int=draw.getrandbits(128)))}.", id=str(one)),
    "a random id the user said": lambda draw: _said(f"Check {(one := _random(draw))}, please.", id=one),
    "eight hexadecimal digits the user said": lambda draw: _said(f"Check {(one := _hex(draw))}.", id=one),
    "an absolute path the user said": lambda draw: _said(f"Read {(one := _path(draw))}.", path=one),
    **{f"filled into {template}": _filled(template) for template in ("host:{}", "/orders/{}", "user-{}", "{}.json")},
    "filled into a URL": _filled("https://api.example/v2/orders/{}"),
    "the record that the user named": _named,
    "the record that failed": lambda draw: _rows(draw, {"status": "failed"}, {"status": "ok"}),
    "the record that is the default": lambda draw: _rows(draw, {"is_default": True}, {"is_default": False}),
    "the halves of owner/repo": _parted,
    "the day of a timestamp": lambda draw: _found({"at": f"{(day := _day(draw))}T10:30:00Z"}, date=str(day)),
    "the last of many records": _last,
    "owner/repo put together": _joined,
    "inside of a nested argument": lambda draw: _found({"id": (one := _hex(draw))}, filter={"customer": one}),
}


def runs(pattern: str, count: int, seed: str) -> Iterator[Run]:
    """Recordings of one pattern."""
    draw = Random(f"{pattern} {seed}")
    for number in range(count):
        said, found, args = PATTERNS[pattern](draw)
        events: list[dict[str, Any]] = [{"role": "user", "content": said}]
        if found is not None:
            events.append(_asked("look_up", {}))
            events.append({"role": "tool", "tool_call_id": "look_up", "content": _text(found)})
        yield Run(f"{seed}-{number}", f"{seed}-{number}", [*events, _asked("get", args)])


def _asked(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": [{"id": name, "name": name, "args": args}]}


def _text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found)


def hits(pattern: str, stages: Sequence[int] = STAGES) -> list[float]:
    """The share of right first guesses after so many runs."""
    predictor, learning, shares = default_predictor(), runs(pattern, max(stages), "learned"), []
    for before, stage in zip((0, *stages), stages, strict=False):
        for _ in range(stage - before):
            for history, calls in next(learning).decisions():
                predictor.learn(history, calls)
        right = 0
        for run in runs(pattern, _TRIED, "tried"):
            history, calls = list(run.decisions())[-1]
            right += [one.call for one in predictor.predict(history, k=1)] == list(calls)
        shares.append(right / _TRIED)
    return shares


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.patterns", description=_FIRST_LINE)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    found = {}
    with progress("patterns", len(PATTERNS), quiet=options.quiet) as tell:
        for pattern in PATTERNS:
            found[pattern] = hits(pattern)
            tell(pattern)
    if options.json:
        print(json.dumps({"stages": STAGES, "hits": found}))
    else:
        print(f"{'first guesses that are right, %':44}" + "".join(f"{stage:>6}" for stage in STAGES))
        for pattern, shares in found.items():
            print(f"{pattern:44}" + "".join(f"{100 * share:6.0f}" for share in shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
