"""The identity service: one stable profile per person."""
