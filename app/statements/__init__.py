"""Statements of account: everything that was asked for, paid, credited and given back, in order.

Owns        nothing: it reads what invoices, payments and credits keep.
Leaves      deciding any of it to them.
Always true the opening balance and the lines add up to the closing balance, in each currency; the
            closing balance of one period is the opening balance of the next.
"""
