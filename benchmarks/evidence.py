"""What the model's stream adds to a prediction: replays recordings token by token, and starts tools as soon as may be.

    python -m benchmarks.evidence

The predictor learns from a part of the tasks, then predicts every message of the others before it learns from it. Each
message is written at an even pace on a virtual clock (`play.py`). Told of are messages with calls of read-only tools;
what is discarded counts wherever a guess was launched.

How good it is, by what was known: how many of those calls were among the first candidates, as in
`benchmarks.predictability` (what is written completely takes no place), and how long the message still took. *Begin* is
where the same calls stood when their message began.

What it hides: each step's longest body minus its longest wait, if every tool takes as long. Guesses run from the
shipped least probability on, at most as many at once as the limits allow a turn; those of a whole run, and that of
bodies in flight, are left out. The *oracle* knows the message when it begins, and no limit holds for it. A discarded
guess wastes the seconds until then, at most those of its tool; one that nobody stops goes on to its end. *Regretted*
are those that the stream ruled out and the message held after all. *Early* are calls that began because all their
arguments were written, which is no feat of prediction.

Nothing should be chosen by what it does for the test half, so parts of the training half are measured: `--final`
measures the test half.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.play import BEGIN, BOTH, LIMITS, ORACLE, STREAM, VARIANTS, Hidden, Message, plays
from benchmarks.progress import Tell, progress
from benchmarks.traces import FOLDER, Run, is_read_only, read, split
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.candidates import Candidate, Predictor
from langgraph_speculate.core.draft import Draft
from langgraph_speculate.core.history import History, text_of
from langgraph_speculate.core.json_prefix import JsonPrefix
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.host.forecast import Forecaster
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.traces.evaluate import DEPTH
from langgraph_speculate.traces.score import Hits

_FIRST_LINE = (__doc__ or "").split("\n")[0]
SETS = (
    "speculativeaction_hotpotqa",
    "intercode_bash",
    "taubench_airline",
    "tau2_airline",
    "intercode_ctf",
    "intercode_sql",
)
STAGES = {
    "begin": "turn start",
    "text": "after the text",
    "name": "after the name",
    "first": "first of its arguments",  # of two or more
    "half": "half of its arguments",  # of three or more
    "half written": "half of its arguments' text",
    "last": "last of its arguments",  # and the call still open
}
_BEGAN = {
    Stage.BEGIN: "at turn start",
    Stage.TEXT: "in the text",
    Stage.NAME: "at the name",
    Stage.ARGUMENTS: "in the arguments",
    Stage.COMPLETE: "when all of them were there",
}
_OTHER_SECONDS = (0.3, 3.0)


def decisions(run: Run) -> Iterator[tuple[History, str, list[Call]]]:
    """Every message of the model: what is to be learned from it, its text, and its calls."""
    texts = [text_of(event.get("content")) for event in run.events if event.get("role") == "assistant"]
    for (history, calls), text in zip(run.decisions(), texts, strict=True):
        yield history, text, calls


# -- how good it is ---------------------------------------------------------------------------------------------------


def points(written: str) -> dict[str, int]:
    """After how many characters of a call's arguments each stage is reached; without those that tell nothing new.

    >>> points('{"from": "BSL", "to": "JFK", "day": 7}')
    {'first': 14, 'half': 27, 'half written': 19}
    >>> points('{"query": "a long text"}')
    {'half written': 12, 'last': 23}
    """
    prefix = JsonPrefix()
    closed = [at for at, sign in enumerate(written, 1) if prefix.feed(sign) and not prefix.complete]
    count = len(prefix.closed)
    found = {"first": closed[0]} if count > 1 else {}
    if count > 2:
        found["half"] = closed[(count + 1) // 2 - 1]
    if count:
        found["half written"] = len(written) // 2
    if count and len(closed) == count:  # a number is closed by what closes the call
        found["last"] = closed[-1]
    return found


@dataclass
class Quality:
    """The calls that were asked about at one stage.

    Attributes:
        hits: How many of them were among the candidates.
        before: The same at the beginning of their messages.
        lead_s: Seconds to the ends of their messages, added up.
    """

    hits: Hits = field(default_factory=Hits)
    before: Hits = field(default_factory=Hits)
    lead_s: float = 0.0

    def as_json(self) -> dict[str, float]:
        """Its figures."""
        return {
            "calls": self.hits.calls,
            "@1": self.hits.share(1),
            "@3": self.hits.share(3),
            "begin @1": self.before.share(1),
            "begin @3": self.before.share(3),
            "lead_s": self.lead_s / (self.hits.calls or 1),
        }


def place_of(call: Call, candidates: Sequence[Candidate], written: Sequence[Call] = ()) -> int:
    """Where *call* stands among the read-only candidates that are not *written* yet, from 0; far off if nowhere."""
    done = {key_of(one) for one in written}
    keys = (key_of(candidate.call) for candidate in candidates if is_read_only(candidate.call))
    places = [key for key in dict.fromkeys(keys) if key is not None and key not in done]
    key = key_of(call)
    return places.index(key) if key in places else len(places) + DEPTH


def ask(qualities: Mapping[str, Quality], message: Message, history: History, forecaster: Forecaster) -> None:
    """Ask for candidates at every stage of a message."""
    told = forecaster.predictor.predict(history, k=DEPTH)
    draft = Draft()

    def count(
        stage: str, call: Call, candidates: Sequence[Candidate], at_s: float, written: Sequence[Call] = ()
    ) -> None:
        quality = qualities[stage]
        quality.hits.see(place_of(call, candidates, written))
        quality.before.see(place_of(call, told))
        quality.lead_s += message.end_s - at_s

    def narrowed() -> list[Candidate]:
        return forecaster.narrow(history, draft, told, DEPTH)

    reads = [call for call in message.calls if is_read_only(call)]
    for call in reads:
        count("begin", call, told, 0.0)
    if message.text:
        draft.say(message.text)
        candidates = narrowed()
        for call in reads:
            count("text", call, candidates, message.at(0))
    for index, call in enumerate(message.calls):
        draft.write(index, f"call_{index}", call.name, None)
        written = message.calls[:index]
        text = json.dumps(call.args)
        done = 0
        if is_read_only(call):
            count("name", call, narrowed(), message.at(index, 0), written)
            for stage, point in sorted(points(text).items(), key=lambda item: item[1]):
                draft.write(index, None, None, text[done:point])
                done = point
                count(stage, call, narrowed(), message.at(index, point), written)
        draft.write(index, None, None, text[done:])


# -- sets -------------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What one set of runs came to.

    Attributes:
        messages: With calls of read-only tools.
        with_text: Those among them that say something first.
        parallel: Those among them with more such calls than guesses may run.
        qualities: By stage.
        hidden: By the seconds that a tool takes, and by variant.
    """

    seconds: Sequence[float]
    messages: int = 0
    with_text: int = 0
    parallel: int = 0
    qualities: dict[str, Quality] = field(default_factory=lambda: {stage: Quality() for stage in STAGES})

    def __post_init__(self) -> None:
        self.hidden = {tool_s: {variant: Hidden() for variant in VARIANTS} for tool_s in self.seconds}

    def see(self, message: Message, history: History, forecaster: Forecaster) -> None:
        """Predict a message, and play it."""
        reads = sum(is_read_only(call) for call in message.calls)
        self.messages += reads > 0
        self.with_text += reads > 0 and bool(message.text)
        self.parallel += reads > LIMITS.max_per_turn
        if reads:
            ask(self.qualities, message, history, forecaster)
        played = plays(message, history, forecaster)
        for tool_s, variants in self.hidden.items():
            for variant, hidden in variants.items():
                hidden.see(message, played[variant], tool_s)

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        return {
            "messages": self.messages,
            "with_text": self.with_text,
            "more_reads_than_guesses": self.parallel,
            "stages": {stage: quality.as_json() for stage, quality in self.qualities.items()},
            "tools": [self._hides(tool_s) for tool_s in self.seconds],
        }

    def _hides(self, tool_s: float) -> dict[str, Any]:
        wait_s, found = self.messages * tool_s, self.hidden[tool_s]
        share = {variant: hidden.seconds / (wait_s or 1.0) for variant, hidden in found.items()}
        variants = {
            variant: {
                "hidden": share[variant],
                "of_oracle": share[variant] / (share[ORACLE] or 1.0),
                "hits": hidden.hits,
                "discarded": hidden.discarded,
                "regretted": hidden.regretted,
                "waste": hidden.discarded / (hidden.hits or 1),
                "wasted_s": hidden.wasted_s,
                "started_early": hidden.early,
                "began": dict(hidden.began),
                "hidden_by": {stage: seconds / (wait_s or 1.0) for stage, seconds in hidden.seconds_by.items()},
            }
            for variant, hidden in found.items()
        }
        return {
            "tool_s": tool_s,
            "wait_s": wait_s,
            "variants": variants,
            "stream_over_begin": share[STREAM] - share[BEGIN],
            "eager_over_begin": share[BOTH] - share[BEGIN],
            "stream_over_eager": share[STREAM] - share[BOTH],
        }


def measure(
    train: Sequence[Run], test: Sequence[Run], result: Result, token_s: float, tell: Tell, predictor: Predictor
) -> None:
    """Learn from *train*, then predict and play every message of *test* before it is learned."""
    for run in train:
        for history, _, calls in decisions(run):
            predictor.learn(history, calls)
    forecaster = Forecaster(predictor, _fail)
    for run in test:
        for learned, text, calls in decisions(run):
            before = replace(learned, writing="")  # nobody has written anything yet
            result.see(Message(text, calls, token_s), before, forecaster)
            predictor.learn(learned, calls)
        tell("")


def _fail(cause: str, message: str) -> None:
    raise RuntimeError(f"{cause}: {message}")


def limited(runs: Sequence[Run], limit: int) -> list[Run]:
    """About *limit* runs, all of each task that is kept, and those tasks from all over the file.

    >>> [run.id for run in limited([Run(str(number), str(number // 2), ()) for number in range(12)], 4)]
    ['0', '1', '6', '7']
    """
    tasks = list(dict.fromkeys(run.task for run in runs))
    kept = max(1, round(len(tasks) * min(1.0, limit / (len(runs) or 1))))
    chosen = {tasks[number * len(tasks) // kept] for number in range(kept)} if tasks else set()
    return [run for run in runs if run.task in chosen]


def parts(runs: Sequence[Run], seed: int, *, final: bool) -> tuple[list[Run], list[Run]]:
    """Runs to learn from and to measure on: of the training half, or with *final* the two halves."""
    train, test = split(runs, seed)
    return (train, test) if final else split(train, 100 + seed)


def report(
    runs: Sequence[Run], seeds: Sequence[int], seconds: Sequence[float], token_s: float, tell: Tell, *, final: bool
) -> dict[str, Any]:
    """The figures of one set, all splits added up.

    Raises:
        ValueError: There are too few tasks.
    """
    result = Result(seconds)
    learned = played = 0
    for seed in seeds:
        train, test = parts(runs, seed, final=final)
        if not train or not test:
            raise ValueError("too few tasks to learn from some and measure on others")
        measure(train, test, result, token_s, tell, default_predictor())
        learned += len(train)
        played += len(test)
    return {"runs": len(runs), "runs_learned": learned, "runs_played": played, **result.as_json()}


# -- tables -----------------------------------------------------------------------------------------------------------

Row = Sequence[str]


def tables(figures: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """The tables of one set: what each is about, and its rows, the first one of headings."""
    about = (
        f"{figures['set']}: {figures['messages']} messages with reads, {figures['with_text']} of them with text and "
        f"{figures['more_reads_than_guesses']} with more reads than guesses may run; {figures['runs_learned']} runs "
        f"learned, {figures['runs_played']} played"
    )
    quality: list[Row] = [("known", "calls", "@1", "@3", "begin @1", "begin @3", "lead s")]
    for stage, it in figures["stages"].items():
        if it["calls"]:
            shares = [_percent(it[name]) for name in ("@1", "@3", "begin @1", "begin @3")]
            quality.append((STAGES[stage], str(it["calls"]), *shares, f"{it['lead_s']:.2f}"))
    yield about, quality
    for it in figures["tools"]:
        hides: list[Row] = [
            ("variant", "hidden", "of oracle", "hits", "discarded", "regretted", "a hit", "wasted s", "early")
        ]
        for variant, one in it["variants"].items():
            counts = [str(one[name]) for name in ("hits", "discarded", "regretted")]
            seconds = (f"{one['waste']:.2f}", f"{one['wasted_s']:.0f}", str(one["started_early"]))
            hides.append((variant, _percent(one["hidden"]), _percent(one["of_oracle"]), *counts, *seconds))
        gain, eager, rest = (it[name] for name in ("stream_over_begin", "eager_over_begin", "stream_over_eager"))
        told = f"tools take {it['tool_s']:g} s, {it['wait_s']:.0f} s of tool wait; over turn start alone"
        told += f" {gain * 100:+.1f} points of it: {eager * 100:+.1f} by eager start, {rest * 100:+.1f} by evidence"
        yield told, hides
    yield "of the stream's, began at each stage, and what that hid", list(_by_stage(figures["tools"]))


def _by_stage(tools: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    yield ("began", "calls", *(f"tools of {it['tool_s']:g} s" for it in tools))
    found = [it["variants"][STREAM] for it in tools]
    for stage in Stage:
        if stage.value in found[0]["began"]:
            hidden = (_percent(one["hidden_by"].get(stage.value, 0.0)) for one in found)
            yield (_BEGAN[stage], str(found[0]["began"][stage.value]), *hidden)


def _percent(share: float) -> str:
    return f"{round(share * 100, 1) + 0.0:.1f}"  # never -0.0


def shown(about: str, rows: Sequence[Row], *, markdown: bool) -> Iterator[str]:
    """One table, for a terminal or a page."""
    yield ""
    yield about
    if markdown:
        yield ""
        for number, row in enumerate(rows):
            yield f"| {' | '.join(row)} |"
            if not number:
                yield "|---" * len(row) + "|"
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join((row[0].ljust(len(first)), *others))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=_FIRST_LINE)
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="SET", help="recordings of ../shared/traces")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0], metavar="SEED", help="splits to add up (default: 0)"
    )
    parser.add_argument(
        "--tool-seconds",
        type=_positive,
        default=1.0,
        metavar="S",
        help="of a tool (default 1; also told: 0.3, 3)",
    )
    parser.add_argument(
        "--tokens-per-second", type=_positive, default=40.0, metavar="N", help="of the model (default 40)"
    )
    parser.add_argument("--limit", type=int, default=800, help="about so many runs of each set at most (default 800)")
    parser.add_argument(
        "--final", action="store_true", help="measure the test half; not while anything is being chosen"
    )
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments().parse_args(argv)
    seconds = list(dict.fromkeys([options.tool_seconds, *_OTHER_SECONDS]))
    part = "the test half" if options.final else "inner parts of the training half"
    done = []
    if not options.json:
        print(f"{part}, seeds {', '.join(map(str, options.seeds))}; {options.tokens_per_second:g} tokens a second")
    for name in options.sets:
        path = FOLDER / f"{name}.jsonl.gz"
        if not path.exists():
            print(f"skipped: no {path.name} in ../shared/traces beside the project", file=sys.stderr)
            continue
        try:
            runs = limited(read([path]), options.limit)
            steps = sum(len(parts(runs, seed, final=options.final)[1]) for seed in options.seeds)
            with progress(name, steps, quiet=options.quiet) as tell:
                token_s = 1.0 / options.tokens_per_second
                figures = report(runs, options.seeds, seconds, token_s, tell, final=options.final)
        except (OSError, ValueError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 2
        done.append({"set": name, **figures})
        if not options.json:
            for about, rows in tables(done[-1]):
                print("\n".join(shown(about, rows, markdown=options.markdown)), flush=True)
    if options.json:
        told = {"part": "test" if options.final else "inner", "seeds": options.seeds}
        print(json.dumps({**told, "tokens_per_second": options.tokens_per_second, "sets": done}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
