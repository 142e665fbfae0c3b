"""What an organization has bought: checkout, plan changes, cancellation, and the access it gives.

Owns        the mirror of Stripe's subscriptions, checkout attempts, requested changes, who is a
            customer at Stripe, paid periods, and the rule of who has access.
Leaves      what a plan grants to `catalog`, holding the grant to `organizations`, invoices as
            documents to `invoices`, receiving events to `webhooks`.
Always true a grant follows what Stripe says, never the browser's return; an older answer never
            overwrites a newer one; a paid period opens its quota window once; an organization
            is one customer at Stripe; every call that changes something there has a key made
            from a row of ours.
"""
