"""One Postgres: engine, tables' base, and the unit of work that owns every transaction."""
