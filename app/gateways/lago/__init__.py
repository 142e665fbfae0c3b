"""Lago: billing on usage, for those who have it; it takes events and is never asked for any."""
