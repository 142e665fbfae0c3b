"""Money that came in, went back, or is fought over: charges, refunds and disputes.

Owns        the mirror of Stripe's charges, refunds and disputes, and the refunds that operators
            make.
Leaves      taking payments to Stripe; invoices to `invoices`; mails about it to `notifications`.
Always true a row says what Stripe last said, whatever order it was told in; a refund that was
            asked for once is made once; no more goes back than came in; nothing of a disputed
            charge goes back.
"""
