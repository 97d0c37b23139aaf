"""Traces, metrics and logs: declared names, cheap recording, OTLP or local files."""
