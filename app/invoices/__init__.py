"""What was billed: Stripe's invoices as we saw them, and the documents that show them.

Owns        the mirror of Stripe's invoices, the document of an invoice as PDF, page and table,
            and the numbers that documents of our own will carry.
Leaves      taking payments to Stripe; what a plan grants to `subscriptions`.
Always true an invoice's state only moves forward; a mirrored invoice keeps Stripe's number; the
            figures of the PDF, the page and the API are the same.
"""
