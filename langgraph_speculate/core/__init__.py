"""Decisions only: no clock, no tasks, no threads, no LangChain. Time comes in as `now`."""

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate, NamePredictor, Predictor, StreamPredictor
from langgraph_speculate.core.draft import Draft, DraftCall
from langgraph_speculate.core.history import History, ModelTurn, Origin, PastCall, UserTurn
from langgraph_speculate.core.sums import Learner
from langgraph_speculate.core.warming import WarmUp

__all__ = [
    "Call",
    "Candidate",
    "Draft",
    "DraftCall",
    "History",
    "Learner",
    "ModelTurn",
    "NamePredictor",
    "Origin",
    "Outcome",
    "PastCall",
    "Predictor",
    "StreamPredictor",
    "UserTurn",
    "WarmUp",
]
