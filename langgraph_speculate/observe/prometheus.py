"""Prometheus: the series of `observe/series.py` in a registry that somebody scrapes (extra `prometheus`)."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from langgraph_speculate.core.events import Event
from langgraph_speculate.errors import needs_extra
from langgraph_speculate.observe.series import ALL, BUCKETS_S, Measures, Series

with needs_extra("prometheus"):
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "langgraph_speculate"

_Metric = Counter | Histogram | Gauge
_METRICS: WeakKeyDictionary[CollectorRegistry, dict[Series, _Metric]] = WeakKeyDictionary()
_LOCK = threading.Lock()


class Prometheus:
    """An observer that keeps Prometheus metrics; may be called from any thread.

    Any number of them may share a registry, and then they share its metrics: one for each graph of a server, say.
    `langgraph dev` serves the default registry under `/metrics`.

    Args:
        registry: Where the metrics are kept; by default the registry of the process.

    Raises:
        ValueError: The registry already has other metrics of these names.

    >>> from langgraph_speculate.core import events
    >>> registry = CollectorRegistry()
    >>> Prometheus(registry)(events.Wasted(run="r", at=1.0, id="s", tool="look", seconds=0.5))
    >>> registry.get_sample_value("langgraph_speculate_wasted_seconds_sum", {"tool": "look"})
    0.5
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._metrics = _metrics_of(REGISTRY if registry is None else registry)
        self._measures = Measures(self._add)

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        self._measures(event)

    def _add(self, series: Series, amount: float, labels: tuple[str, ...]) -> None:
        line = self._metrics[series].labels(*labels)
        if isinstance(line, Histogram):
            line.observe(amount)
        else:
            line.inc(amount)


def _metrics_of(registry: CollectorRegistry) -> dict[Series, _Metric]:
    with _LOCK:  # a registry takes each name once
        if registry not in _METRICS:
            _METRICS[registry] = {series: _metric(series, registry) for series in ALL}
        return _METRICS[registry]


def _metric(series: Series, registry: CollectorRegistry) -> _Metric:
    name = f"{PREFIX}_{series.name}"
    if series.kind == "histogram":
        name = f"{name}_seconds"
        return Histogram(name, series.description, series.labels, buckets=BUCKETS_S, registry=registry)
    if series.kind == "gauge":  # of the workers of a server, those that live are added up
        return Gauge(name, series.description, series.labels, registry=registry, multiprocess_mode="livesum")
    return Counter(name, series.description, series.labels, registry=registry)
