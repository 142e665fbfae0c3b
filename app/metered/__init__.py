"""Metered billing: what was used, told to Stripe as meter events.

Owns        the batches that are sent, what of them Stripe refused, and what is still to be told.
Leaves      counting to `usage`; prices and invoices to Stripe.
Always true every counted quantity is in one batch; a batch counts once at Stripe, however often
            it is sent; what cannot be sent any more is reported, not dropped.
"""
