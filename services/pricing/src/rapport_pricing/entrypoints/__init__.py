"""Ways in: gRPC and events."""
