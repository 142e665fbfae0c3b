"""The Stripe sandbox, asked with Stripe's own client."""
