"""The rapport command: the whole suite on one machine, no container."""
