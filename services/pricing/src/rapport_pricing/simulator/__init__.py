"""Seeded worlds in which policies are compared: demand, stock, delay, consent, channels and rivals."""
