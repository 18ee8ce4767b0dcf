"""`python -m langgraph_speculate`: the same as the installed script."""

from langgraph_speculate.cli import main

if __name__ == "__main__":
    main()
