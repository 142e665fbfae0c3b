"""HTTP without features: the edge of every request, problem documents, who is calling, keys."""
