"""The gRPC server and client of every service."""
