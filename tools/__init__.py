"""Programs that stand on their own; they import nothing of the service."""
