"""Notices what a live body writes to streams and callbacks, on its way to where it always went.

An answer that came with more than itself cannot be given again in place of the body. An early body's recorder knows
what it wrote; a real call's body writes at once, so somebody stands by.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_speculate.host.compat.configs import runtime_of, var_child_runnable_config, with_runtime
from langgraph_speculate.host.compat.tools import RUN_MANAGER
from langgraph_speculate.host.recorder import RECORDED


class Witness(BaseCallbackHandler):
    """Stands by while one body runs.

    Attributes:
        saw: Whether the body wrote anything.
    """

    run_inline = True

    def __init__(self) -> None:
        self.saw = False

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
        """A nested model call, which streams."""
        self.saw = True

    def on_llm_start(self, *_args: Any, **_kwargs: Any) -> None:
        """A nested model call, which streams."""
        self.saw = True

    @contextmanager
    def beside(self, slots: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Around a body: what it is to be handed for its *slots*, and inherits, is what it would be, with a witness."""
        config = var_child_runnable_config.get()
        token = var_child_runnable_config.set(None if config is None else self._watching(config))
        try:
            yield {name: self._filling(name, value) for name, value in slots.items()}
        finally:
            var_child_runnable_config.reset(token)

    def _filling(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        return self._joining(value) if name == RUN_MANAGER else self._watching(value)

    def _watching(self, config: Mapping[str, Any]) -> Any:
        watching = {**config, "callbacks": self._joining(config.get("callbacks"))}
        runtime = runtime_of(config)
        if runtime is None:
            return watching
        return with_runtime(watching, runtime.override(stream_writer=self._writer(runtime.stream_writer)))

    def _writer(self, real: Any) -> Any:
        def write(chunk: Any) -> None:
            self.saw = True
            real(chunk)

        return write

    def _joining(self, callbacks: Any) -> Any:
        """Handlers, or a manager of some, with this one as the last."""
        if callbacks is None or isinstance(callbacks, list):
            return [*(callbacks or ()), self]
        joined = copy.copy(callbacks)
        joined.handlers = [*callbacks.handlers, self]
        joined.inheritable_handlers = [*callbacks.inheritable_handlers, self]
        return joined


def _noticing(event: str) -> Any:
    def notice(self: Witness, *_args: Any, **_kwargs: Any) -> None:
        self.saw = True

    notice.__name__ = event
    return notice


for _event in RECORDED:
    setattr(Witness, _event, _noticing(_event))
