"""Technology: PostgreSQL."""
