"""What a person can see and click: checkout, portal, invoice, console."""
