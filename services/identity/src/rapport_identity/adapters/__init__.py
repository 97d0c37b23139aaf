"""Technology of the identity service."""
