"""The outside world in our own words: mail, webhooks, Stripe.

Owns        protocols, the values they speak in, and one real and one fake implementation each.
Leaves      deciding what to say, and when, to the features.
Always true no library of a provider is imported outside this package, no provider's error
            crosses it, and no call leaves while a unit of work is open.
"""
