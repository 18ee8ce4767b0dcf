"""One seed: a valid policy that must be understood, and the same with one mistake that must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from langgraph_speculate.errors import PolicyError
from tests.fuzz.mistakes import mistaken
from tests.fuzz.policies import Data, misused, valid


@dataclass(frozen=True)
class Failure:
    """What is wrong with the package, as one seed shows it.

    Attributes:
        seed: Replays it.
        what: Which promise was broken.
        detail: Where and how.
        flag: The option that replays it.
    """

    seed: int
    what: str
    detail: str
    flag: str = "--seed"

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.what}: {self.detail}\n  python -m tests.fuzz {self.flag} {self.seed}"


@dataclass(frozen=True)
class Judgement:
    """What came of one seed: its policy, its mistake, how often something was read, and what was wrong."""

    data: Data
    kind: str
    readings: int
    failures: tuple[Failure, ...]


def judge(seed: int, folder: Path) -> Judgement:
    """Read one valid policy and one with a mistake, in every way there is to read one.

    Args:
        seed: Of everything.
        folder: Where a file may be written.
    """
    rng = Random(seed)
    data = valid(rng)
    found = [("a valid policy", problem) for problem in misused(data, rng, folder)]
    mistake = mistaken(rng, data)
    readings = 0
    for way, read in mistake.readings(folder):
        readings += 1
        told = f"{mistake.kind}, {way}"
        try:
            read()
        except PolicyError as error:
            if not all(word in str(error) for word in mistake.words_of(way)):
                found.append(("the message does not name the place", f"{told}: {error}"))
        except Exception as error:  # noqa: BLE001 - what else it may raise is what this looks for
            found.append(("another exception than PolicyError", f"{told}: {type(error).__name__}: {error}"))
        else:
            found.append(("a silent accept", f"{told}: {mistake}"))
    return Judgement(data, mistake.kind, readings, tuple(Failure(seed, *parts) for parts in found))
