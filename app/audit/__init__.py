"""Who changed what: an entry for every change by a person, a key, an operator or the system.

Owns        the entries, and what the current caller is called in them.
Leaves      deciding what is worth an entry to the use-case that makes the change.
Always true an entry commits with its change or not at all; no entry is edited or deleted; no
            entry holds a secret.
"""
