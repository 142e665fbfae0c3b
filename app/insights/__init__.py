"""What past costs suggest: a forecast, days that stand out, patterns that recur.

Owns        the statistics, and nothing that is stored.
Leaves      sums to `usage`, limits and alerts to `budgets`.
Always true it only reads, and only whole days that are over; an estimate comes with the bounds that
            hold it in eight of ten cases, or with the reason why there is none.
"""
