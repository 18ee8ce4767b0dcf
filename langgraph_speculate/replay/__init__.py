"""Recorded runs played through the real core on a virtual clock: what speculation would have saved."""

from langgraph_speculate.replay.forecast import Forecast, Method, RunTimes, Variant, forecast
from langgraph_speculate.replay.outlook import as_json, assumptions, pays, verdict
from langgraph_speculate.replay.times import Times

__all__ = [
    "Forecast",
    "Method",
    "RunTimes",
    "Times",
    "Variant",
    "as_json",
    "assumptions",
    "forecast",
    "pays",
    "verdict",
]
