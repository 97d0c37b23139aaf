"""A certificate authority of the local machine: issues, renews and rotates the files of mutual TLS."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rapport_testing.files import replace_file

TRUST_DOMAIN = "rapport.local"

_AUTHORITY_LIFETIME = timedelta(days=3650)
_BOTH_SIDES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_CLOCK_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True)
class IssuedFiles:
    """The files of one holder: its certificate, its private key, and the authorities it accepts from others."""

    certificate: Path
    key: Path
    authorities: Path


class LocalAuthority:
    """An ECDSA P-256 authority kept in a folder, made at the first use.

    The folder holds `authority/` (the key and the authorities trusted at present, the issuing one first) and for each
    holder `<name>/{tls.crt,tls.key,ca.crt}`, the names that Kubernetes gives to the same files. Each file is replaced
    as a whole, authorities first, then the key, the certificate last: a reader that finds a certificate which does not
    fit the key has read in between and reads again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key_file = folder / "authority" / "ca.key"
        self.bundle_file = folder / "authority" / "ca.crt"
        if not self._key_file.exists():
            self._make_authority(trusted_before=[])

    def issue(
        self,
        name: str,
        *,
        uris: Sequence[str] | None = None,
        dns: Sequence[str] = ("localhost",),
        ips: Sequence[str] = ("127.0.0.1",),
        days: float = 30,
        not_after: datetime | None = None,
    ) -> IssuedFiles:
        """Issue or renew the certificate of a holder, for use as server and as client, with a new key.

        Args:
            name: The holder, also the folder of its files: lower-case letters, digits and hyphens.
            uris: Its names as a caller; `spiffe://rapport.local/<name>` if not given.
            dns: Its host names as a server.
            ips: Its addresses as a server.
            days: How long the certificate is good from now on.
            not_after: The end of its validity instead; one in the past makes an expired certificate.

        Raises:
            ValueError: The name is not usable as a folder.
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name == "authority":
            raise ValueError(f"not a name for a holder: {name!r}")
        issuer_key, issuer = self._issuer()
        now = datetime.now(UTC)
        ends = not_after or now + timedelta(days=days)
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in _uris(name, uris)]
        names += [x509.DNSName(host) for host in dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ips]
        certificate = (
            _builder(_subject(name), key.public_key(), min(now, ends) - _CLOCK_TOLERANCE, ends)
            .issuer_name(issuer.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if names:
            certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        files = self.files(name)
        replace_file(files.authorities, self.bundle_file.read_bytes())
        replace_file(files.key, _key_pem(key), mode=0o600)
        replace_file(files.certificate, _certificate_pem(certificate.sign(issuer_key, hashes.SHA256())))
        return files

    def files(self, name: str) -> IssuedFiles:
        """Return where the files of a holder are, whether or not they have been issued."""
        folder = self.folder / name
        return IssuedFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")

    def rotate_authority(self) -> None:
        """Make a new authority that issues from now on, and let every holder trust the old ones beside it.

        To change over without a failed call: rotate, let all holders read their `ca.crt`, `issue` every certificate
        again, let all holders read theirs, then `retire_previous`.
        """
        self._make_authority(trusted_before=self._trusted())
        self._distribute()

    def retire_previous(self) -> None:
        """Let nobody trust any authority but the newest: what the earlier ones issued is refused from now on."""
        replace_file(self.bundle_file, _certificate_pem(self._trusted()[0]))
        self._distribute()

    def _make_authority(self, trusted_before: list[x509.Certificate]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        # Each has a name of its own: clients look an issuer up by name.
        subject = _subject(f"Rapport local authority {x509.random_serial_number():x}"[:64])
        certificate = (
            _builder(subject, key.public_key(), now - _CLOCK_TOLERANCE, now + _AUTHORITY_LIFETIME)
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        replace_file(self.bundle_file, b"".join(_certificate_pem(each) for each in [certificate, *trusted_before]))
        replace_file(self._key_file, _key_pem(key), mode=0o600)

    def _issuer(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{self._key_file} holds no elliptic-curve key")
        return key, self._trusted()[0]

    def _trusted(self) -> list[x509.Certificate]:
        """The authorities trusted at present, the newest first."""
        return x509.load_pem_x509_certificates(self.bundle_file.read_bytes())

    def _distribute(self) -> None:
        for holder in self.folder.iterdir():
            if (holder / "tls.crt").exists():
                replace_file(holder / "ca.crt", self.bundle_file.read_bytes())


def _uris(name: str, uris: Sequence[str] | None) -> Sequence[str]:
    return (f"spiffe://{TRUST_DOMAIN}/{name}",) if uris is None else uris


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
