"""Who calls, who stands behind the call, and what they may do."""
