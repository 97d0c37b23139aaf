"""Use cases, and what they need of the outside."""
