"""Usage as it comes and goes over the wire, where a model would cost more than the work."""
