"""Invoices in and out."""
