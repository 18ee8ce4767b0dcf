"""Chat models of LangChain: whether and how they stream."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

__all__ = ["SHOULD_STREAM", "SHOULD_STREAM_USAGE", "cannot_stream"]

SHOULD_STREAM = "_should_stream"
"""The method with which a chat model decides, right before a call, whether that is streamed."""

SHOULD_STREAM_USAGE = "_should_stream_usage"
"""The method with which OpenAI-like chat models decide, right before they stream, whether to ask for token counts."""


def cannot_stream(model: BaseChatModel) -> str | None:
    """Why a chat model never streams its messages, or None if it does where somebody listens."""
    if model.disable_streaming:
        return f"disable_streaming={model.disable_streaming!r}"
    if "streaming" in model.model_fields_set and getattr(model, "streaming", None) is False:
        return "streaming=False"
    bare = all(getattr(type(model), name) is getattr(BaseChatModel, name) for name in ("_stream", "_astream"))
    return "its class has no streaming" if bare else None
