"""Use cases: what the service does, one file each."""
