"""The support agent of a small outdoor shop: a LangGraph project of the ordinary kind."""
