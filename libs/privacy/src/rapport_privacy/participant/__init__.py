"""The part of a privacy request that every service does for what it holds."""
