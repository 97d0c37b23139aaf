"""The demo: one person and one shop, told in scenes, each of which checks what it shows."""
