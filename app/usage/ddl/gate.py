"""The gate between those who record and whoever counts again what was recorded.

Every flush holds the gates of its organizations, shared; whoever recounts an organization (a new
budget, a window that opens late) takes its gate alone, so that no event slips in between the
count and the row that keeps it. Rivals: a lock on the organization's row, which every flush would
have to write to; or a count that is wrong by what was in flight.
"""

from __future__ import annotations

GATES = 64

GATE_CLASS = 7301
"""The first half of the advisory locks' key; the second is the gate's number."""

GATE = f"""
create or replace function usage_gate(p_organization_id uuid) returns int
language sql immutable parallel safe as
$body$ select get_byte(uuid_send(p_organization_id), 15) % {GATES} $body$
"""

ALONE = f"select pg_advisory_xact_lock({GATE_CLASS}, usage_gate(:organization_id))"
"""First in the transaction of whoever recounts; everybody else waits for its end."""

SHARED = f"select pg_advisory_xact_lock_shared({GATE_CLASS}, usage_gate(:organization_id))"
"""First in the transaction of whoever moves what a recount counts."""
