"""LangGraph made faster by running predicted tool calls early."""
