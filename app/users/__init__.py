"""People: who they are, how they prove it, and whether they may run the platform.

Owns        names, e-mail addresses, password hashes, the operator flag, suspension.
Leaves      sessions, tokens and keys to `auth`; what a person may do in an organization to
            `organizations`.
Always true an address belongs to one person, whatever its case; a password is stored only as a
            slow hash; an old fast hash is gone after the next sign-in.
"""
