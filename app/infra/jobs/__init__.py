"""Background work in the same database: a job is a row of the commit that asked for it.

Owns        PgQueuer, which nothing else imports; retries, schedules, the supervised worker.
Leaves      what a job does to the feature that names it.
Always true a rolled-back unit leaves no job; delivery is at least once, so handlers repeat safely.
"""
