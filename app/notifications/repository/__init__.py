"""Notices in and out."""
