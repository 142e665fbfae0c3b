"""Reconciliation: what we hold against what Stripe holds, found out without being told.

Owns        the comparison, its order and pace, the repairs it asks for, and its reports.
Leaves      writing the truth to `subscriptions` and `invoices`, which take it as they take any
            news; keeping events to the inbox.
Always true what is repaired goes the way of an event, so a repair can do nothing that an event
            could not; nothing at Stripe is changed; a run begins where the last one ended.
"""
