"""The pricing service: quotes, offers and learning that never leave the guardrails."""
