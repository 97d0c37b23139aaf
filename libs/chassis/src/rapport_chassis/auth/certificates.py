"""What a client certificate says about its holder."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_PEM_PROPERTY: Final = "x509_pem_cert"
_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """The holder of a certificate.

    Attributes:
        uri: The one URI among its alternative names; empty if there is none, or more than one.
        thumbprint: `x5t#S256`: unpadded base64url of SHA-256 over the DER form.
    """

    uri: str
    thumbprint: str


def peer_of(certificate: bytes) -> Peer:
    """Return the holder of a certificate in PEM form; of a chain, its first.

    Raises:
        ValueError: These bytes are no certificate.
    """
    parsed = x509.load_pem_x509_certificate(certificate)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    digest = sha256(parsed.public_bytes(Encoding.DER)).digest()
    return Peer(uris[0] if len(uris) == 1 else "", base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


def thumbprint_of(certificate_file: Path) -> str:
    """Return the `x5t#S256` that binds an actor token to the certificate in this file."""
    return peer_of(certificate_file.read_bytes()).thumbprint


class PeerCertificates:
    """Reads each certificate once, however many calls come with it. TLS has verified it before."""

    def __init__(self) -> None:
        self._read = lru_cache(_REMEMBERED)(peer_of)

    def of(self, auth_context: Mapping[str, Iterable[bytes]]) -> Peer:
        """Return the holder of the certificate shown on a connection; nobody where none was."""
        for certificate in auth_context.get(_PEM_PROPERTY, ()):
            return self._read(certificate)
        return _NOBODY


_NOBODY: Final = Peer("", "")
