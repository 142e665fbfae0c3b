"""Shapes on the wire that are too many for one file."""
