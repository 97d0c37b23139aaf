"""A part of a JetStream server that one test has to itself."""

from __future__ import annotations

from dataclasses import dataclass

import nats
from nats.js.errors import NotFoundError


@dataclass(frozen=True)
class JetStreamSpace:
    """Where one test keeps its streams.

    On the run's own server each worker has an account, so that subjects need no prefix and nobody else's streams are
    seen. On a server given by URL only the prefix keeps streams apart, and tests that use the same subjects must not
    run at the same time.

    Attributes:
        url: The address to connect to, with login.
        prefix: The beginning of all stream names of this test: capital letters and digits.
    """

    url: str
    prefix: str

    async def clear(self, *, everything: bool) -> None:
        """Delete the streams with the prefix, or with `everything` all streams of the account."""
        client = await nats.connect(self.url, allow_reconnect=False)
        try:
            jetstream = client.jetstream()
            for stream in await jetstream.streams_info():
                name = stream.config.name or ""
                if everything or name.startswith(self.prefix):
                    try:
                        await jetstream.delete_stream(name)
                    except NotFoundError:
                        continue
        finally:
            await client.close()
