"""Stripe in our own words.

Owns        the SDK, its version, retries, timeouts, idempotency keys on the wire, and the
            translation of its objects and errors.
Leaves      what to buy, change or cancel, and the keys themselves, to `subscriptions`.
Always true no object or error of the SDK leaves this package; amounts are whole minor units;
            instants are aware and in UTC; a call never runs inside a unit of work.
"""
