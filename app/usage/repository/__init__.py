"""Usage in and out of the database. What is new is written by `usage_record`."""
