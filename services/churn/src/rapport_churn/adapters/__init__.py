"""Technology of the churn service."""
