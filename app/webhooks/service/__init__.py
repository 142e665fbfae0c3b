"""Receiving, handling and replaying what Stripe reports."""
