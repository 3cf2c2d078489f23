"""Our own interface: typed, with errors that name field, value and rule (RFC 9457)."""
