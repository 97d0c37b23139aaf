"""Real PostgreSQL and NATS, a test clock and a process harness for Rapport's tests."""
