"""The rules of billing, apart from how they are asked for: periods, invoices, payments."""
