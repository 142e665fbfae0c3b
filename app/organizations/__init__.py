"""Organizations: who belongs to one, as what, and what its plan lets it use.

Owns        organizations, members, roles and their permissions, invites, seats, and the snapshot of
            what the plan grants with its quota windows.
Leaves      which plan grants what to `catalog`, when it does to `subscriptions`, sign-in to `auth`.
Always true an organization has an owner; no more people belong to it than it has seats for, even
            when two accept at once; the windows of its past do not overlap.
"""
