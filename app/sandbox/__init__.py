"""A stateful, Stripe-compatible server for local runs and tests.

Owns        a believable Stripe account: its objects, its billing clock, its events and
            their signed delivery, and the hosted pages a person can click. Answers have
            the shape of API version 2026-10-28.endive.
Leaves      everything that is ours to the rest of the application, which reaches this
            server only over HTTP with the real stripe-python. Real cards, live keys and
            taxes are not its business: it refuses keys that are not `sk_test_`.
Always true a request changes everything it should or nothing, in one SQLite transaction;
            an event exists if and only if its change was committed; a delivery that was
            not acknowledged is tried again, also after a restart.
"""
