"""Plumbing that knows no feature: database, jobs, HTTP, secrets, telemetry.

Owns        connections, transactions, the job queue, problem documents, settings.
Leaves      every word of billing to the features above.
Always true a library that appears here (PgQueuer, limits, structlog) appears nowhere else.
"""
