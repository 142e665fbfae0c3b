"""Telling people: about their account, their organization, their money.

Owns        what each notice says and to whom it goes; a row for each, with what caused it, how
            often it was tried and what became of it; when it is tried again, and for how long;
            organizations' own webhook endpoints, their secrets, and the order of their messages.
Leaves      transport to `gateways.mail` and `gateways.hooks`; one-time tokens to `auth` and `organizations`, which keep
            only their hashes; knowing that something happened to the features that announce it.
Always true one cause sends one mail to each person, however often its jobs run; only a process
            that dies between the server's yes and our note of it sends a second one, with the
            same Message-ID. What is no longer so when it is due is not told. No row and no log
            line holds a token.
"""
