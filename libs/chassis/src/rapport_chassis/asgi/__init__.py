"""HTTP entrances: an ASGI server with its own listener, and signed single-purpose links."""
