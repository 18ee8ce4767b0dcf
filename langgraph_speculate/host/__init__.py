"""The host: LangGraph and LangChain internals, tasks, threads and real time."""
