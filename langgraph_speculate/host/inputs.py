"""What a call of a chat model's body is given, and whether two such calls are given the very same.

Everything counts that could make an answer another one: the messages, the options, the model object and its settings,
context variables, and what the caller's config says. What cannot be compared is not the same.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Context
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, ToolMessage

from langgraph_speculate.core.canonical import canonical_bytes
from langgraph_speculate.host.arithmetic import DECIMALS
from langgraph_speculate.host.compat.configs import is_host_variable
from langgraph_speculate.host.kinds import own_kind
from langgraph_speculate.host.model import chat_models_in
from langgraph_speculate.host.reach import reach_of
from langgraph_speculate.host.results import handed_over
from langgraph_speculate.host.sandbox import circumstances_of, mark

_NOT_SENT = frozenset({"id", "artifact"})
"""What a tool's message holds that is not for the model: LangGraph draws the id, and an artifact is the tool's own."""


@dataclass(frozen=True, slots=True)
class Form:
    """An input as it is compared, part by part.

    Attributes:
        method: Which body of the model.
        model: The model and its settings.
        options: What its caller says besides the messages.
        circumstances: What its body could see of the run.
        messages: The canonical form of the messages.
    """

    method: str
    model: Any
    options: Any
    circumstances: Any
    messages: bytes

    def difference(self, other: Form) -> str | None:
        """The first part in which two inputs differ, or None if they are the same."""
        for name in Form.__slots__:
            try:
                same = bool(getattr(self, name) == getattr(other, name))
            except Exception:  # noqa: BLE001 - objects compare as their class does it
                same = False
            if not same:
                return name
        return None


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One call of a model's body.

    Attributes:
        model: The model.
        method: Which of its bodies.
        body: That body, of the model's own class; takes the messages and the options.
        messages: The messages.
        options: What its caller says besides, by name.
        managed: Whether it is handed a callback manager.
        config: The config around it.
        variables: The context variables that are set around it.
        decimals: The decimal context around it; None for the default.
    """

    model: BaseChatModel
    method: str
    body: Callable[..., Any]
    messages: Sequence[BaseMessage]
    options: Mapping[str, Any]
    managed: bool
    config: Mapping[str, Any]
    variables: Mapping[ContextVar[Any], Any]
    decimals: Context | None = None

    def form(self) -> Form:
        """How it is compared.

        Raises:
            UnkeyableArguments: Its messages cannot be.
        """
        return Form(
            self.method,
            _settings(self.model),
            {"managed": self.managed, **{f"={name}": mark(value) for name, value in self.options.items()}},
            circumstances_of(self.config, self.variables, self.decimals),
            canonical_bytes([_shown(message) for message in self.messages]),
        )

    def apart(self) -> ModelInput:
        """The same with messages and options of its own: a body may change them, and they are the run's, too."""
        artifacts = (getattr(message, "artifact", None) for message in self.messages)
        kept = {id(artifact): artifact for artifact in artifacts}  # not for the model, and of any size
        return replace(self, messages=deepcopy(list(self.messages), kept), options=handed_over(dict(self.options)))

    @property
    def kind(self) -> tuple[type, str, bool]:
        """What it has in common with other calls that run the same code."""
        return own_kind(self.model), self.method, self.managed

    @property
    def is_alone(self) -> bool:
        """Whether the model holds no other, which it might call at one time and not at another."""
        private = getattr(self.model, "__pydantic_private__", None) or {}
        return next(chat_models_in([*self.model.__dict__.values(), *private.values()]), None) is None

    def obstacle(self) -> str | None:
        """Why a call like this one cannot run ahead, or None."""
        if self.managed and self.method in ("_stream", "_astream"):
            return "it tells its callbacks of pieces by itself"
        return obstacle_of(self.model)

    def followed_by(self, messages: Sequence[BaseMessage]) -> ModelInput:
        """The same call with more messages."""
        return replace(self, messages=[*self.messages, *messages])


def obstacle_of(model: BaseChatModel) -> str | None:
    """Why no call of a model can run ahead, as far as can be seen, or None."""
    if model.rate_limiter is not None:
        return "it has a rate limiter, which its real calls would have to wait for"
    named = _names_of_run(own_kind(model))
    return f"its code names {', '.join(named)}" if named else None


def _names_of_run(kind: type[BaseChatModel]) -> tuple[str, ...]:
    """By which names the code of a model's class gets at the run that it is called in."""
    known = _NAMED.get(kind)
    if known is None:
        bodies = [getattr(kind, name) for name in ("_generate", "_agenerate", "_stream", "_astream")]
        known = _NAMED[kind] = tuple(sorted(reach_of(bodies).names & _OF_THE_RUN))
    return known


_NAMED: WeakKeyDictionary[type[BaseChatModel], tuple[str, ...]] = WeakKeyDictionary()


_OF_THE_RUN = frozenset(
    {"get_config", "get_stream_writer", "get_runtime", "get_store", "ensure_config", "var_child_runnable_config"}
    | {"dispatch_custom_event", "adispatch_custom_event", "interrupt"}
)


def variables_here() -> dict[ContextVar[Any], Any]:
    """The context variables that are set here, but for the host's own, and the decimal context's."""
    return {
        variable: value
        for variable, value in contextvars.copy_context().items()
        if variable is not DECIMALS and not is_host_variable(variable)
    }


def result_in(message: ToolMessage) -> dict[str, Any]:
    """What a tool's message holds that is not about which call it answers."""
    return {name: value for name, value in _fields(message).items() if name not in {*_NOT_SENT, "tool_call_id"}}


def _shown(message: BaseMessage) -> list[Any]:
    hidden = _NOT_SENT if isinstance(message, ToolMessage) else ()
    kind = type(message)
    fields = {name: value for name, value in _fields(message).items() if name not in hidden}
    return [f"{kind.__module__}.{kind.__qualname__}", fields]


def _fields(message: BaseMessage) -> dict[str, Any]:
    return {**message.__dict__, **(message.__pydantic_extra__ or {})}


def _settings(model: BaseChatModel) -> Any:
    """Which model it is, and how it is set up: two views of one share the same `__dict__`."""
    private = getattr(model, "__pydantic_private__", None) or {}
    own = {name: mark(value) for name, value in {**model.__dict__, **private}.items()}
    return id(model.__dict__), own
