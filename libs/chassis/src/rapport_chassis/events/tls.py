"""The TLS side of a connection to NATS: the client certificate is also the user."""

from __future__ import annotations

import ssl

from rapport_chassis.settings import TlsFiles

_ATTEMPTS = 3


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Read the certificate files, which may change at any time, and return a context that shows and checks them.

    Raises:
        OSError: A file is missing or is not what it should be.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        context = ssl.create_default_context(cafile=str(files.authorities))
        try:
            context.load_cert_chain(str(files.certificate), str(files.key))
            return context
        except ssl.SSLError:
            # Read between the replacement of the key and that of the certificate.
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")
