"""What the people who run the platform see across all organizations.

Owns        operators' lists and statistics, read from other features' tables and never written.
Leaves      every change to the feature that owns the row, which also leaves the audit entry.
Always true nobody but a platform operator gets an answer; a total is the sum of its rows, taken
            from one snapshot of the database.
"""
