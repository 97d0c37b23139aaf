"""Certifies a provider adapter: a sink that counts, faults at every point, kills at every moment."""
