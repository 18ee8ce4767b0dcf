"""The demonstration: the agent of `examples/shop_agent`, a scripted model on loopback, and what speculation saves."""
