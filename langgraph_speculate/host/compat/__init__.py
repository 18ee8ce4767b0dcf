"""Every private name of LangGraph, LangChain and LangSmith that this package touches, each with a contract test.

One module for each thing of the host. When a release of it breaks something, it breaks here, and the contract of the
name in `tests/host/contracts` says which promise is gone.
"""
