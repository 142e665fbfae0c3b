"""A PostgreSQL server that needs no installation, for `make run` and the tests.

Owns        finding the server's binaries, initializing a cluster, starting and stopping it.
Leaves      which database is used (`DATABASE_URL` replaces all of this) to `settings`;
            the schema to the migrations.
Always true data survives whatever is killed; no TCP port is opened; nobody else's directory
            has its permissions changed.
"""
