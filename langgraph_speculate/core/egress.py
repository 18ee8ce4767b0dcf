"""May a call leave the trust boundary ahead of the model: one pure rule over what is known of its arguments.

The rule of FIDES (arXiv 2505.23643) for a sink outside: where it is sent must be trusted, what is sent must be public,
or known there already. The gate asks it on the concrete call; waiting for the model costs only latency, so there are no
exceptions.
"""

from __future__ import annotations

from langgraph_speculate.core.provenance import Provenance
from langgraph_speculate.policy import ToolPolicy
from langgraph_speculate.policy.checks import shown
from langgraph_speculate.policy.hosts import is_allowed

_NAMED = 3  # arguments that a reason lists


def objection(policy: ToolPolicy, found: Provenance) -> str | None:
    """Return why a call of an open-world tool may not run ahead of the model, or None if it may.

    >>> policy = ToolPolicy(read_only=True, open_world=True, disclosure="declared", allowed_hosts=["*.python.org"])
    >>> objection(policy, Provenance(frozenset({"docs.python.org"}), None, frozenset({"docs.python.org"})))
    >>> objection(policy, Provenance(frozenset({"evil.example"}), None, frozenset({"evil.example"})))
    'evil.example is not in allowed_hosts, and not named by the user alone'
    """
    if policy.disclosure not in ("same_args_only", "declared"):
        return f"disclosure is {shown(policy.disclosure)}: an early call may tell nobody anything"
    if found.complaint is not None:
        return found.complaint
    for host in sorted(found.destinations):
        if host in found.untrusted_hosts and not is_allowed(host, policy.allowed_hosts):
            return f"{host} is not in allowed_hosts, and not named by the user alone"
    if policy.disclosure == "same_args_only" and found.unsent:
        names = ", ".join(shown(name) for name in sorted(found.unsent, key=str)[:_NAMED])
        return f"its destination has not seen {names} in this thread"
    return None
