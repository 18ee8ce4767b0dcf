"""Pages that this package writes or serves, looked at in a real browser."""
