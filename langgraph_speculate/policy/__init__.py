"""Which tools may run ahead of the model, and how much: frozen records that check themselves once."""

from langgraph_speculate.policy.guards import Guard, GuardedCall
from langgraph_speculate.policy.levels import LEVELS, Level
from langgraph_speculate.policy.limits import Limits
from langgraph_speculate.policy.prices import TokenPrice
from langgraph_speculate.policy.rules import Rule, Verdict
from langgraph_speculate.policy.settings import SpeculationPolicy
from langgraph_speculate.policy.tool import ToolPolicy

__all__ = [
    "LEVELS",
    "Guard",
    "GuardedCall",
    "Level",
    "Limits",
    "Rule",
    "SpeculationPolicy",
    "TokenPrice",
    "ToolPolicy",
    "Verdict",
]
