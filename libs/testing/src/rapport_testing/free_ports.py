"""Ports of this machine that are free, and stay free while the server on them is down."""

from __future__ import annotations

import random
import socket

# Below the ranges from which Linux (32768) and macOS (49152) take the near end of outgoing connections: while a server
# is down between a kill and its restart, no client of anything can be given its port by chance.
_LOWEST = 15_000
_HIGHEST = 32_000


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port of `host` on which nothing listens.

    Another process may take it before it is used: whoever starts a server on it tries another one if that fails.

    Raises:
        OSError: None was found.
    """
    for port in random.sample(range(_LOWEST, _HIGHEST), 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port of {host} between {_LOWEST} and {_HIGHEST}")
