"""Who is told, what it says, and how it gets there."""
