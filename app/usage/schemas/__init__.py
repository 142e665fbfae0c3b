"""Usage on the wire, as the API documents it."""
