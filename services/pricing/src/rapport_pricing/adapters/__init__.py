"""What the service stands on: PostgreSQL and what is read from files."""
