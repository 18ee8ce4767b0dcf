"""What `langgraph-speculate doctor` says about a graph: what may run ahead, why not, and what to do about it."""
