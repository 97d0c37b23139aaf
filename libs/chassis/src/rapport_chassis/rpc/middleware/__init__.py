"""What happens around each handler, one concern per file, in the order of `rpc/chain.py`."""
