"""Recorded runs played through the real core on a virtual clock: what speculation would have saved."""

from langgraph_speculate.replay.forecast import Forecast, forecast
from langgraph_speculate.replay.method import Method
from langgraph_speculate.replay.outlook import as_json, assumptions, pays, verdict
from langgraph_speculate.replay.times import Times
from langgraph_speculate.replay.variant import RunTimes, Share, Variant

__all__ = [
    "Forecast",
    "Method",
    "RunTimes",
    "Share",
    "Times",
    "Variant",
    "as_json",
    "assumptions",
    "forecast",
    "pays",
    "verdict",
]
