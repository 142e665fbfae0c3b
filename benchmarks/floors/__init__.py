"""The least that the same work could cost: no HTTP, no rules, arguments made beforehand.

Each floor is a process of its own (`process.py`) that prepares, waits for a word, works, and
tells how long it took.
"""
