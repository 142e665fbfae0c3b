"""What usage costs under a price: exact, pure, and the same however the usage is cut.

Owns        the arithmetic of prices: tiers, packages, shares, included units, minimum and maximum
            spend, commitments, prices by model and token role, proration.
Leaves      which price a plan has to `catalog`; rounding to money and everything after it to
            `invoices`.
Always true no figure is rounded here; rating depends on a window's totals alone, so usage that is
            joined or cut anywhere comes to the same.
"""
