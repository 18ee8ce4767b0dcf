"""How well the next calls can be predicted on the recordings beside the project.

    python -m benchmarks.predictability ../shared/traces/taubench_airline.jsonl.gz --seeds 5

The same as `langgraph-speculate evaluate`, which measures on recordings of your own, with all recordings of
`../shared/traces` where none is named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.traces import FOLDER
from langgraph_speculate import cli
from langgraph_speculate.traces.evaluate import DEPTH, PREDICTORS, evaluate, measure
from langgraph_speculate.traces.score import THRESHOLDS, Score

__all__ = ["DEPTH", "PREDICTORS", "THRESHOLDS", "Score", "evaluate", "main", "measure"]


def main(argv: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0].startswith("-"):
        recordings = sorted(map(str, FOLDER.glob("*.jsonl.gz")))
        if not recordings and not {"-h", "--help"} & set(given):
            print("skipped: no recordings named, and none in ../shared/traces beside the project", file=sys.stderr)
            return 0
        given = [*recordings, *given]
    try:
        cli.main(["evaluate", *given])
    except SystemExit as ended:
        return int(ended.code or 0)


if __name__ == "__main__":
    sys.exit(main())
