"""What can be bought: plans, prices, limits, features and metrics, as data.

Owns        the catalog file, its immutable versions in the database, Stripe's price ids by plan.
Leaves      who holds which plan to `subscriptions` and `organizations`; rating of metered prices
            to whoever issues documents; prices of LLM tokens to `pricing`.
Always true a version, once stored, never changes; the same content is the same version; a file
            that is wrong refuses to start and says in which line.
"""
