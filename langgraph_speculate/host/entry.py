"""One tool of a graph: what its body receives for a call, and how calls of it are compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.host.compat.configs import runtime_of
from langgraph_speculate.host.compat.tools import RUN_MANAGER, body_parameters
from langgraph_speculate.host.injection import Injection
from langgraph_speculate.host.sandbox import Sandbox, mark

THREAD, TASK = "thread", "task"
CHANGES_ARGUMENTS = "arguments that it changes in place"
_POSITIONAL = ""  # no schema has an argument of this name


@dataclass(frozen=True, slots=True, eq=False)
class Arguments:
    """What a tool's body receives for one call, without what its `run` fills in.

    Attributes:
        positional, named: The arguments.
        given: The copy of the model's own that they were made of and may share lists and tables with; None for those of
            a real call.
        slots: What `run` filled in besides: the config and the run manager, under the names of the body's parameters.
    """

    positional: tuple[Any, ...]
    named: dict[str, Any]
    given: Mapping[str, Any] | None = None
    slots: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> RunnableConfig | None:
        """The config that `run` handed to the body, if the body takes one."""
        return next((value for name, value in self.slots.items() if name != RUN_MANAGER), None)

    def call(self, name: str, hidden: Collection[str] = ()) -> Call:
        """The call these arguments make, to be compared with others; *hidden* are the ones the host supplies."""
        named = {key: value for key, value in self.named.items() if key not in hidden} if hidden else self.named
        return Call(name, {_POSITIONAL: list(self.positional), **named} if self.positional else named)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One tool of a graph.

    Attributes:
        tool: The tool as its owner made it.
        facts: What the gate may know about it.
        injection: What the host injects into its arguments, or None.
        runs_code: Whether reading its arguments may run code of its owner's.
    """

    tool: BaseTool
    facts: ToolFacts
    injection: Injection | None = None
    runs_code: bool = True

    @property
    def hidden(self) -> Collection[str]:
        """Names of the arguments that the host supplies."""
        return () if self.injection is None else self.injection.names

    @property
    def takes_id(self) -> bool:
        """Whether its body is handed the id of the call."""
        return self.injection is not None and bool(self.injection.by_call)

    def id_of(self, arguments: Arguments) -> str | None:
        """The id of a real call with these arguments, if its body is handed it."""
        return None if self.injection is None else self.injection.id_among(arguments.named)

    def call(self, arguments: Arguments) -> Call:
        """The call that these arguments make, to be compared with others."""
        return arguments.call(self.tool.name, self.hidden)

    def left_as_in(self, call: Call, arguments: Arguments) -> bool:
        """Whether a body has left these arguments of *call* as they were."""
        return keyable(self.call(arguments)) == call

    def circumstances(self, around: Any, arguments: Arguments, config: Mapping[str, Any]) -> Any:
        """What a call of the tool may see of its run, to be compared between launch and real call.

        Args:
            around: What every tool may see (`circumstances_of`).
            arguments: The call's arguments.
            config: The config that the call runs under.

        Raises:
            UnkeyableArguments: Something of the state that it reads cannot be compared.
        """
        read = () if self.injection is None else self.injection.read_set(arguments.named)
        context = getattr(runtime_of(config), "context", None) if "context" in self.facts.uses else None
        return around, read, mark(context)

    def coerce(
        self,
        args: Mapping[str, Any],
        sandbox: Sandbox | None,
        state: Callable[[], Mapping[str, Any]] = dict,
        call_id: str | None = None,
    ) -> Arguments | None:
        """Raw arguments as the body would receive them, or None when they do not fit the schema.

        Args:
            args: The arguments as a model would write them.
            sandbox: Where the schema looks at them: nobody has made this call, so nobody may hear of it. A validator
                that trips a wire there fits nothing any more. None for a schema that runs no code of anybody's.
            state: Returns the graph's state, which may be injected.
            call_id: The id of the call, if it is known.
        """
        try:
            placeholders = None if self.injection is None else self.injection.placeholders(state())

            def fit() -> Arguments:
                return Arguments(*body_parameters(self.tool, args, placeholders, call_id))

            fitted = fit() if sandbox is None else sandbox.aside(fit)
        except KeyboardInterrupt:  # the user's, who waits in this thread
            raise
        except BaseException:  # noqa: BLE001 - a validator is somebody else's code
            return None
        return fitted if sandbox is None or sandbox.taint is None else None


def venues_of(tool: BaseTool) -> frozenset[str]:
    """Where a tool's body can run: in a thread, as a task on the run's loop, or both.

    >>> from langchain_core.tools import tool
    >>> @tool
    ... async def look_up(id: int) -> str:
    ...     "Look something up."
    ...     return str(id)
    >>> venues_of(look_up)
    frozenset({'task'})
    """
    if hasattr(tool, "coroutine"):
        sync, native = getattr(tool, "func", None) is not None, tool.coroutine is not None
    else:
        sync, native = True, _overrides_arun(type(tool))
    return frozenset(venue for venue, there in ((THREAD, sync), (TASK, native)) if there)


def _overrides_arun(kind: type) -> bool:
    return getattr(kind, "_arun", None) is not BaseTool._arun


def keyable(call: Call) -> Call | None:
    """The call, or None when it cannot be compared with others."""
    return None if key_of(call) is None else call
