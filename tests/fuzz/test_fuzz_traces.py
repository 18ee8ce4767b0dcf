"""No mutated file of traces raises, hangs or fills memory, and the fuzzing that says so would notice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.traces import Skipped
from langgraph_speculate.traces.readers import SOURCES, sources
from tests.fuzz.traces import examples, hunt, judge, mutated

FILES = 700


@pytest.fixture(scope="module")
def every() -> dict[str, bytes]:
    return examples()


def test_every_source_has_an_example_that_it_is_told_by(every: dict[str, bytes], tmp_path: Path):
    """
    The fuzzing starts from valid files.
    """
    for name, example in every.items():
        path = tmp_path / "file"
        path.write_bytes(example)
        assert sources.source_of(str(path), sources.Limits()) == name.partition(".")[0]
        assert judge(example, path) is None
    assert set(every) == {*SOURCES, "langfuse.csv"}


def test_mutated_files_are_read_or_skipped(every: dict[str, bytes]):
    """
    A seed each; a failure names source and seed.
    """
    _, broken = hunt(range(FILES), every)

    assert broken == []


def test_the_fuzzing_notices_a_reader_that_raises(every: dict[str, bytes], monkeypatch: pytest.MonkeyPatch):
    """
    One careless look-up is found within the files of one source.
    """

    def careless(path: str, limits: Any, on_bytes: Any) -> Iterator[Any]:
        for found in SOURCES["messages"].runs(path, limits, on_bytes):
            if not isinstance(found, Skipped):
                assert found.events[0]["content"][0]  # a text may be empty, and a run too
            yield found

    broken_source = {**SOURCES, "messages": sources.Source("careless", SOURCES["messages"].is_record, careless)}
    monkeypatch.setattr(sources, "SOURCES", broken_source)

    _, broken = hunt(range(FILES), {"messages": every["messages"]})

    assert any("IndexError" in one.what for one in broken)


def test_a_mutation_is_the_same_for_the_same_seed(every: dict[str, bytes]):
    """
    What was found once can be looked at.
    """
    first, second = (mutated(every["otlp"], random.Random(7)) for _ in range(2))

    assert first == second
