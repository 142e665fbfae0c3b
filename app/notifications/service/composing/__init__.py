"""What each kind of notice says, found out at the moment of sending. None: it no longer holds."""
