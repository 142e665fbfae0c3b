"""What can be done with budgets, one noun a file."""
