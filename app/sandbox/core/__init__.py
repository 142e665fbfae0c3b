"""What every Stripe object shares: storage, time, parameters, events, idempotency."""
