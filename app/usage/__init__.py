"""Usage: every event once, counted, priced and held against the plan's limits.

Owns        usage events and their permanent keys, hourly, daily and monthly rollups, quota
            counters, the group commit that writes them, summaries, quotas and cost breakdowns;
            reservations, and what limits on spending have seen.
Leaves      what a call costs to `pricing`; which plan grants what to `catalog`; whose window it is
            to `organizations`; budgets' own rules to `budgets`.
Always true an acknowledged event is committed; the pair (organization, id) counts once, for ever;
            rollups and counters equal what the raw rows add up to; a hard limit that is enforced
            is never passed; a cost is exact or `null`, never a silent zero; what is held is what
            reservations hold, and none of it outlives its expiry.
"""
