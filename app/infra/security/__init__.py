"""Secrets: password hashes, tokens, signatures."""
