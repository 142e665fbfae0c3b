"""The Stripe inbox: what Stripe reports is verified, kept, and handled by a job.

Owns        signatures, the inbox, the table of which event wakes which handler, the sweeper,
            and replay.
Leaves      what a subscription or an invoice means to `subscriptions` and `invoices`; talking
            to Stripe to `gateways.stripe`.
Always true an event is kept once, however often it is sent; what was answered with 200 is
            committed together with its job; an event is a hint, so its object is fetched again
            and never read from the payload; an effect and the event's mark are one commit.
"""
