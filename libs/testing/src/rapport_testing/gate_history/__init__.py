"""The history check of the gate: every decision of many replicas, held against what the ledger had committed."""
