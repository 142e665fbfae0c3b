"""What can be done with usage: record, void, price later, sum up, hold against quotas."""
