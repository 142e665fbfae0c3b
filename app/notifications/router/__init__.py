"""Notices, preferences and endpoints over HTTP."""
