"""Redis: counters for readers that want them there; Postgres stays the truth."""
