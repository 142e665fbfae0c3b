"""Discounts: promo codes that people type, and what buying a lot takes off.

Owns        promo codes and who redeemed them, the tiers of the volume discount, the coupons at
            Stripe that say the same.
Leaves      arithmetic on a document to `invoices`, which asks what to take off and tells what it
            took; what was spent so far comes from there, too.
Always true a code is never redeemed more often than it may be, in all or by one organization; a
            redemption has one cause and takes something off as many periods as its code says.
"""
