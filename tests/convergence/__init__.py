"""Whatever order Stripe's news come in, we end where Stripe ends."""
