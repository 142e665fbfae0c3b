"""Giving credit, drawing on it, and letting it lapse."""
