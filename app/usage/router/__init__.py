"""Usage, quotas, costs and reservations over HTTP; the hot operations stand beside their routes."""
