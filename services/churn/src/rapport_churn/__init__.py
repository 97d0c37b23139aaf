"""The churn service: who is about to leave, why, and what they are worth."""
