"""Ways in: gRPC, events."""
