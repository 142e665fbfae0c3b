"""The benchmark's own arithmetic, client, floor and reconciliation."""
