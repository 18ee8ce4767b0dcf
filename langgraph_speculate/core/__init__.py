"""Decisions only: no clock, no tasks, no threads, no LangChain. Time comes in as `now`."""

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate, Predictor, StreamPredictor
from langgraph_speculate.core.draft import Draft, DraftCall
from langgraph_speculate.core.history import History, ModelTurn, Origin, PastCall, UserTurn
from langgraph_speculate.core.sums import Learner

__all__ = [
    "Call",
    "Candidate",
    "Draft",
    "DraftCall",
    "History",
    "Learner",
    "ModelTurn",
    "Origin",
    "Outcome",
    "PastCall",
    "Predictor",
    "StreamPredictor",
    "UserTurn",
]
