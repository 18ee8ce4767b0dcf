"""A report on what speculation did: figures, charts and timelines on one page."""

from langgraph_speculate.report.report import Report

__all__ = ["Report"]
