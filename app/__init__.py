"""Billing for LLM products: one async service on one Postgres. Start reading at ARCHITECTURE.md."""
