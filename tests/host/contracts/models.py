"""What the package counts on of `host/compat/models.py`."""

from __future__ import annotations

from typing import Any

import pytest
from agents import ScriptedModel
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_openai import ChatOpenAI

from contracts import contract
from contracts.callbacks import Listens
from langgraph_speculate.host.compat import models


@contract("SHOULD_STREAM", "SHOULD_STREAM_USAGE")
def _should_stream() -> None:
    asked: list[str] = []

    class Asked(ChatOpenAI):
        def _should_stream(self, *, run_manager: Any = None, **kwargs: Any) -> bool:
            asked.append(models.SHOULD_STREAM)
            return super()._should_stream(run_manager=run_manager, **kwargs)

        def _should_stream_usage(self, stream_usage: bool | None = None, **kwargs: Any) -> bool:
            asked.append(models.SHOULD_STREAM_USAGE)
            return super()._should_stream_usage(stream_usage, **kwargs)

    model = Asked(api_key="x", base_url="http://127.0.0.1:9", max_retries=0)
    for handlers, expected in (([], 1), ([Listens()], 2)):
        asked.clear()
        with pytest.raises(Exception, match="onnection"):
            model.invoke("go", {"callbacks": handlers})
        assert asked == ["_should_stream", "_should_stream_usage"][:expected]
    assert callable(BaseChatModel._should_stream)
    assert {"stream_usage", "model_kwargs", "extra_body"} <= set(ChatOpenAI.model_fields)


@contract("cannot_stream")
def _cannot_stream() -> None:
    streaming, silent = ScriptedModel(script=[]), FakeListChatModel(responses=["hi"], disable_streaming="tool_calling")
    assert models.cannot_stream(streaming) is None
    assert models.cannot_stream(silent) == "disable_streaming='tool_calling'"
    assert models.cannot_stream(ChatOpenAI(model="m", api_key="none", streaming=False)) == "streaming=False"
    assert models.cannot_stream(ChatOpenAI(model="m", api_key="none")) is None

    class Whole(ScriptedModel):
        _stream, _astream = BaseChatModel._stream, BaseChatModel._astream

    assert models.cannot_stream(Whole(script=[])) == "its class has no streaming"
