"""Each sink, and when it is tried."""
