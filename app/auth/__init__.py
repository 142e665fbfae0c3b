"""Proof of who is calling: sign-in, token pairs, browser sessions, API keys, and their end.

Owns        sessions, refresh families, revocations, one-time tokens, API keys, and the answer to
            "who sent this request" that every router asks for.
Leaves      people and password hashes to `users`, roles to `organizations`, mail to `notifications`.
Always true no secret is stored, only its keyed hash; a refresh token works once, and its second use
            ends the family; what is revoked is refused by every process within a second, and at once
            where it was revoked.
"""
