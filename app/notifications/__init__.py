"""Telling people: mails about their account and their organization.

Owns        what each notice says, and a row for each: what caused it, whether it went out, how
            often it was tried.
Leaves      transport to `gateways.mail`; one-time tokens to `auth` and `organizations`, which keep
            only their hashes; retrying to the job queue.
Always true one cause sends one mail, however often its job runs; only a process that dies between
            the server's yes and our note of it sends a second one, with the same Message-ID. No
            row and no log line holds a token.
"""
