"""Ways in: gRPC, events and HTTP."""
