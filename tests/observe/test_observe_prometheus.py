"""The series as Prometheus reads them."""

from __future__ import annotations

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.observe.series import ALL, OTHER

prometheus = pytest.importorskip("prometheus_client", reason="the extra `prometheus` is not installed")

from langgraph_speculate.observe.prometheus import Prometheus  # noqa: E402


def launched(tool: str) -> events.Event:
    return events.Launched(run="r", at=1.0, turn="t", id="s", tool=tool, probability=0.5, source="x")


def settled(tool: str, id: str | None, **more: bool) -> events.Event:
    return events.CallSettled(run="r", at=2.0, tool=tool, id=id, waited_s=0.25, tool_s=1.0, **{"joined": False, **more})


HAPPENED = [
    *(launched("look"), launched("look"), launched("find")),
    events.Committed(run="r", at=1.0, id="s", tool="look"),
    events.Discarded(run="r", at=1.0, id="s", tool="find", reason="contradicted"),
    events.Wasted(run="r", at=1.0, id="s", tool="find", seconds=0.5),
    *(
        settled("look", "s"),
        settled("look", "s", joined=True),
        settled("look", None),
        settled("look", None, repeat=True),
    ),
    events.StepSettled(run="r", at=2.0, tool="look", tool_s=1.0, waited_s=0.25),
    events.StepSettled(run="r", at=2.0, tool="look", tool_s=1.0, waited_s=1.01),
]


def test_each_series_is_in_a_scrape_with_its_labels():
    """
    The text that a server would be served, line by line.
    """
    registry = prometheus.CollectorRegistry()
    observer = Prometheus(registry)
    for event in HAPPENED:
        observer(event)
    lines = prometheus.generate_latest(registry).decode().splitlines()
    kept = [line for line in lines if not line.startswith("#") and "_bucket" not in line and "_created" not in line]
    assert sorted(kept) == sorted(
        [
            'langgraph_speculate_speculations_total{outcome="contradicted",tool="find"} 1.0',
            'langgraph_speculate_speculations_total{outcome="ready",tool="look"} 1.0',
            'langgraph_speculate_speculations_total{outcome="joined",tool="look"} 1.0',
            'langgraph_speculate_calls_total{outcome="ready",tool="look"} 1.0',
            'langgraph_speculate_calls_total{outcome="joined",tool="look"} 1.0',
            'langgraph_speculate_calls_total{outcome="miss",tool="look"} 1.0',
            'langgraph_speculate_calls_total{outcome="repeat",tool="look"} 1.0',
            'langgraph_speculate_hidden_seconds_count{tool="look"} 2.0',
            'langgraph_speculate_hidden_seconds_sum{tool="look"} 0.75',
            'langgraph_speculate_wasted_seconds_count{tool="find"} 1.0',
            'langgraph_speculate_wasted_seconds_sum{tool="find"} 0.5',
            'langgraph_speculate_in_flight{tool="look"} 1.0',
            'langgraph_speculate_in_flight{tool="find"} 0.0',
        ]
    )
    assert len([line for line in lines if line.startswith("# HELP") and "_created" not in line]) == len(ALL)


def test_several_observers_share_a_registry():
    """
    Each graph of a server makes its own, also once more when its module is loaded again.
    """
    registry = prometheus.CollectorRegistry()
    for observer in (Prometheus(registry), Prometheus(registry)):
        observer(launched("look"))
    assert registry.get_sample_value("langgraph_speculate_in_flight", {"tool": "look"}) == 2


def test_names_of_tools_are_bounded():
    """
    A server that makes up tools cannot fill a scrape: the latecomers share one line, and their sums stay right.
    """
    registry = prometheus.CollectorRegistry()
    observer = Prometheus(registry)
    for number in range(1000):
        observer(launched(f"tool-{number}"))
    lines = [sample for metric in registry.collect() for sample in metric.samples if sample.name.endswith("in_flight")]
    assert len(lines) == 201
    assert sum(sample.value for sample in lines) == 1000
    assert registry.get_sample_value("langgraph_speculate_in_flight", {"tool": OTHER}) == 800


def test_a_name_somebody_else_has_taken_is_told():
    """
    Not to be mixed up with metrics of another kind.
    """
    registry = prometheus.CollectorRegistry()
    prometheus.Counter("langgraph_speculate_calls", "mine", registry=registry)
    with pytest.raises(ValueError, match="langgraph_speculate_calls"):
        Prometheus(registry)
