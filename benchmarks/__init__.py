"""Measurements that back what the documentation claims. Run them with `python -m benchmarks.<name>`."""
