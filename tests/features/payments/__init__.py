"""Charges, refunds, disputes."""
