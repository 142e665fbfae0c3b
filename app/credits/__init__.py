"""Credits: what an organization has to spend before it pays.

Owns        grants, the append-only ledger of what was given, spent, lapsed and returned, and how
            each debit drew on which grants; topping up by itself.
Leaves      when a document takes credit to `invoices`, telling people to `notifications`.
Always true a balance is the sum of its entries and of what its grants have left; no grant gives
            more than it has; every debit names the grants that it drew on; entries never change.
"""
