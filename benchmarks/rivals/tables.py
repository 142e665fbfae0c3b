"""The rivals' own tables."""

CREATE = (
    """
    create table naive_events (
        organization uuid, id text, type text not null, provider text, model text,
        tokens_in bigint not null, tokens_out bigint not null, cost numeric(38, 12) not null,
        details jsonb, occurred_at timestamptz not null, primary key (organization, id)
    )
    """,
    """
    create table naive_rollups (
        organization uuid, bucket timestamptz, grain text, tokens bigint not null,
        cost numeric(38, 12) not null, primary key (organization, bucket, grain)
    )
    """,
    """
    create table naive_quotas (
        organization uuid primary key, used bigint not null, most bigint not null
    )
    """,
    """
    create table naive_stripe_events (
        id text primary key, type text not null, payload jsonb not null,
        received_at timestamptz not null default now()
    )
    """,
    "create table naive_commits (id bigint generated always as identity primary key, body text)",
)

GROWING = "naive_events, naive_rollups, naive_quotas, naive_commits, naive_stripe_events"
