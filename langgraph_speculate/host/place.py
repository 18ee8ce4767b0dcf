"""What a model call's guesses may look at: the config and the context of the model's node."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Literal

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.host.approvals import may_reject
from langgraph_speculate.host.arithmetic import decimal_here
from langgraph_speculate.host.compat.configs import runtime_of, state_of
from langgraph_speculate.host.sandbox import Sandbox, callers, circumstances_of
from langgraph_speculate.policy.guards import Guard, GuardedCall, objection


class Place:
    """The model's node, as its guesses see it.

    Args:
        config: The node's config.
        variables: Context variables that the policy passes on, with their values.
        guards: The policy's guards, to be asked in the node's context.
    """

    def __init__(
        self, config: Mapping[str, Any], variables: Mapping[ContextVar[Any], Any], guards: Sequence[Guard]
    ) -> None:
        self.config = config
        self.variables = variables
        self.decimals = decimal_here()
        self._guards = guards
        self._context = contextvars.copy_context() if guards else None
        self._looks: dict[str, Sandbox] = {}

    def state(self) -> Mapping[str, Any]:
        """The graph's state, read once."""
        return self._state

    @cached_property
    def _state(self) -> Mapping[str, Any]:
        return state_of(self.config)

    @cached_property
    def circumstances(self) -> Any:
        """What any tool may see of the run."""
        return circumstances_of(self.config, self.variables, self.decimals)

    @cached_property
    def may_reject(self) -> bool:
        """Whether a callback handler of the run may keep tool calls from running."""
        return may_reject(self.config.get("callbacks"))

    def look(self, facts: ToolFacts) -> Sandbox:
        """Where the schema of a tool looks at guesses."""
        known = self._looks.get(facts.name)
        if known is None:
            made = Sandbox(
                facts.name,
                self.config,
                self.variables,
                uses_context="context" in facts.uses,
                native=False,
                decimals=self.decimals,
            )
            known = self._looks.setdefault(facts.name, made)  # guesses are looked at on several threads
        return known

    def objection(self, call: Call) -> str | None:
        """Why a guard does not let *call* run ahead, or None."""
        if self._context is None:
            return None
        # In a copy: a context cannot be entered twice, and guesses of one call are looked at on several threads.
        return self._context.copy().run(objection, self._guards, guarded(call, self.config, "issue"))


def guarded(call: Call, config: Mapping[str, Any], moment: Literal["issue", "commit"]) -> GuardedCall:
    """What a guard is asked about a call under *config*."""
    context = getattr(runtime_of(config), "context", None)
    return GuardedCall(call.name, call.args, callers(config.get("configurable")), context, moment)
