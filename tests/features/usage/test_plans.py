"""What the writing sessions plan where a table has become large."""

import asyncpg
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from app.usage.ddl.record import ONE_KEY

KNOWN = """
    explain select u.event_id
    from unnest(array[1, 2], array[gen_random_uuid(), gen_random_uuid()]) as t (class, hash)
"""
MANY = """
    insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
    select '019aa000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(),
        gen_random_uuid()
    from generate_series(1, 5000)
"""
OWNER = "'019aa000-0000-7000-8000-000000000001'::uuid"


async def test_a_known_key_is_found_by_its_index(fresh_url: URL) -> None:
    """Writers do without nested loops; a plain join would read every key for one repeat."""
    connection = await asyncpg.connect(
        **asyncpg_arguments(fresh_url), server_settings={"enable_nestloop": "off"}
    )
    try:
        await connection.execute(MANY)
        await connection.execute("analyze usage_keys")
        one = ONE_KEY.replace("c_organization[t.class]", OWNER)
        found = await connection.fetch(f"{KNOWN} cross join lateral ({one}) as u")
        plan = "\n".join(row[0] for row in found)
        assert "Index Scan using pk_usage_keys" in plan
        assert "Seq Scan" not in plan

        joined = f"join usage_keys u on u.organization_id = {OWNER} and u.key_hash = t.hash"
        found = await connection.fetch(f"{KNOWN} {joined}")
        assert "Seq Scan on usage_keys" in "\n".join(row[0] for row in found)
    finally:
        await connection.close()
