"""Stripe's nouns, one module each: the parameters it takes and what the calls do."""
