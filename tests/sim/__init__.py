"""Deterministic simulation: plain and speculating runs of generated programs in virtual time, compared."""
