"""What the service stands on: PostgreSQL, other services, and what is read from files."""
