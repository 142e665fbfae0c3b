"""Triggers that note what was recorded, for deployments that pass it on to somebody.

They exist only while a feed does: who has none pays nothing. A note is a row of the very commit
that it speaks of, so it does not matter in which order flushes commit, how late one of them does,
or what its clock said. The rival is a reader with a watermark, by time or by id: it skips what
commits behind it, or waits for the oldest transaction of the whole server.
"""

from __future__ import annotations

# One row for a flush of a thousand events.
NOTE_EVENTS = """
create or replace function usage_note_events() returns trigger language plpgsql as $body$
begin
    insert into usage_notes (feed, organization_ids, event_ids)
    select tg_argv[0], array_agg(organization_id), array_agg(event_id)
    from fresh having count(*) > 0;
    return null;
end
$body$
"""

NOTE_MONTHS = """
create or replace function usage_note_months() returns trigger language plpgsql as $body$
begin
    insert into usage_notes (feed, organization_ids, months)
    select tg_argv[0], array_agg(organization_id), array_agg(month)
    from (select distinct organization_id, month from fresh) as changed having count(*) > 0;
    return null;
end
$body$
"""


def _trigger(feed: str, what: str, when: str, table: str, suffix: str = "") -> str:
    return (
        f"create trigger usage_feed_{feed}{suffix} after {when} on {table}"
        f" referencing new table as fresh"
        f" for each statement execute function usage_note_{what}('{feed}')"
    )


def note_events(feed: str) -> list[str]:
    """Statements that have every new event noted for *feed*."""
    return [NOTE_EVENTS, _trigger(feed, "events", "insert", "usage_keys")]


def note_months(feed: str) -> list[str]:
    """Statements that have every month that changes noted for *feed*."""
    return [
        NOTE_MONTHS,
        *(
            _trigger(feed, "months", when, "usage_monthly", f"_{when}")
            for when in ("insert", "update")
        ),
    ]


def note_nothing(feed: str) -> list[str]:
    """Statements that end what `note_events` or `note_months` began for *feed*."""
    return [
        f"drop trigger if exists usage_feed_{feed} on usage_keys",
        *(
            f"drop trigger if exists usage_feed_{feed}_{when} on usage_monthly"
            for when in ("insert", "update")
        ),
    ]
