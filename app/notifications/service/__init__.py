"""Sending notices, and what each of them says."""
