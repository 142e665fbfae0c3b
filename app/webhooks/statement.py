"""The statement of the intake."""

from __future__ import annotations

from app.infra.jobs.queue import enqueue_each

HANDLE_JOB = "webhooks.handle_stripe_event"


def dedupe_key(event_id: str) -> str:
    return f"{HANDLE_JOB}:{event_id}"


KEEP = f"""
with kept as (
  insert into stripe_events (id, event_id, type, object_id, api_version, livemode, is_thin,
                             occurred_at, received_at, payload, state, attempts)
  select id, event_id, type, object_id, api_version, livemode, is_thin,
         coalesce(occurred_at, $10), $10, payload, 'pending', 0
  from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[],
              $7::boolean[], $8::timestamptz[], $9::text[])
    as sent(id, event_id, type, object_id, api_version, livemode, is_thin, occurred_at, payload)
  on conflict (event_id) do nothing
  returning event_id
), jobs as ({
    enqueue_each(
        HANDLE_JOB,
        "kept",
        payload="json_build_object('event_id', event_id)",
        dedupe_key=f"'{dedupe_key('')}' || event_id",
    )
})
select event_id from kept
"""
"""Keeps those events that are not kept already, each with its job: one statement, one commit."""
