"""Metered billing."""
