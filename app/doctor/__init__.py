"""The doctor: what must always hold of money and of the work around it, looked at.

Owns        asking every feature's invariants, and saying what does not hold and where.
Leaves      the invariants to the features whose rows they are about, mending to people.
Always true it only reads; every check has a name, a sentence, and a test that breaks it by hand.
"""
