"""Making codes, redeeming them, and telling invoices what to take off."""
