"""Mutual TLS from files that may change at any time."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from rapport_chassis.reloading import CHECK_EVERY_S, Reloaded
from rapport_chassis.settings import TlsFiles


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The content of the files, known to fit together."""

    certificate: bytes
    key: bytes
    authorities: bytes

    @classmethod
    def read(cls, files: TlsFiles) -> TlsMaterial:
        """Read the files.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file is no PEM, or the key is not the certificate's: it was read in the midst of a change.
        """
        material = cls(files.certificate.read_bytes(), files.key.read_bytes(), files.authorities.read_bytes())
        leaf = x509.load_pem_x509_certificate(material.certificate)
        key = load_pem_private_key(material.key, password=None)
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
            raise ValueError("the private key does not belong to the certificate")
        x509.load_pem_x509_certificates(material.authorities)
        return material


def watched(files: TlsFiles, *, check_every_s: float = CHECK_EVERY_S) -> Reloaded[TlsMaterial]:
    """Return the files' content, read again when they change.

    Args:
        files: The files.
        check_every_s: How often to look at them, at most.

    Raises:
        OSError: A file cannot be read.
        ValueError: They do not fit together.
    """
    paths = [files.certificate, files.key, files.authorities]
    return Reloaded("tls", paths, lambda: TlsMaterial.read(files), check_every_s=check_every_s)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return credentials that demand a client certificate and use, at each handshake, what the files hold by then.

    Raises:
        OSError: A file cannot be read.
        ValueError: They do not fit together.
    """
    material = watched(files, check_every_s=0)  # a handshake costs far more than a look
    used = material.generation

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        current = material.current()
        if material.generation == used:
            return None
        used = material.generation
        return _server_configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        _server_configuration(material.current()),
        changed,  # type: ignore[arg-type] # None means "no change", which the stubs do not know
        require_client_authentication=True,
    )


def client_credentials(material: TlsMaterial) -> grpc.ChannelCredentials:
    """Return credentials that show the certificate and trust the authorities."""
    return grpc.ssl_channel_credentials(
        root_certificates=material.authorities,
        private_key=material.key,
        certificate_chain=material.certificate,
    )


def _server_configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificate)], root_certificates=material.authorities
    )
