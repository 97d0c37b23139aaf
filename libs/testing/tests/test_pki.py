from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rapport_testing.pki import IssuedFiles, LocalAuthority


def shake_hands(server: IssuedFiles, client: IssuedFiles) -> None:
    """Do a mutual TLS handshake in memory; raises ssl.SSLError as either side would."""
    sides = []
    for files, purpose in ((server, ssl.PROTOCOL_TLS_SERVER), (client, ssl.PROTOCOL_TLS_CLIENT)):
        context = ssl.SSLContext(purpose)
        context.load_verify_locations(files.authorities)
        context.load_cert_chain(files.certificate, files.key)
        context.verify_mode = ssl.CERT_REQUIRED
        sides.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = sides[0].wrap_bio(to_server, to_client, server_side=True)
    calling = sides[1].wrap_bio(to_client, to_server, server_hostname="localhost")
    waiting = [calling, serving]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


def uris(files: IssuedFiles) -> list[str]:
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def test_holders_of_one_authority_accept_one_another(tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path)
    server, client = authority.issue("consent"), authority.issue("churn")
    shake_hands(server, client)
    assert uris(client) == ["spiffe://rapport.local/churn"]


def test_an_authority_found_in_its_folder_goes_on(tmp_path: Path) -> None:
    server = LocalAuthority(tmp_path).issue("consent")
    client = LocalAuthority(tmp_path).issue("churn")
    shake_hands(server, client)


def test_keys_are_closed_to_others_and_fit_their_certificates(tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path)
    files = authority.issue("consent")
    for key in (files.key, tmp_path / "authority" / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert load_pem_private_key(files.key.read_bytes(), None).public_key() == certificate.public_key()
    assert [path.name for path in files.key.parent.iterdir() if path.name.startswith(".")] == []


def test_rotation_refuses_nobody_at_any_step_and_the_old_ones_at_its_end(tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path / "pki")
    server, client = authority.issue("consent"), authority.issue("churn")
    kept = copy_of(client, tmp_path / "kept")

    for _ in range(2):
        authority.rotate_authority()
        shake_hands(server, client)
        authority.issue("consent")
        shake_hands(server, client)
        authority.issue("churn")
        shake_hands(server, client)
        authority.retire_previous()
        shake_hands(server, client)

    with pytest.raises(ssl.SSLError):
        shake_hands(server, IssuedFiles(kept.certificate, kept.key, client.authorities))
    assert len(x509.load_pem_x509_certificates(client.authorities.read_bytes())) == 1


def test_after_a_rotation_the_bundle_holds_both_authorities_the_issuing_one_first(tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path)
    files = authority.issue("consent")
    (old,) = x509.load_pem_x509_certificates(files.authorities.read_bytes())

    authority.rotate_authority()

    new, *before = x509.load_pem_x509_certificates(files.authorities.read_bytes())
    assert before == [old]
    assert new != old
    issued = x509.load_pem_x509_certificate(authority.issue("churn").certificate.read_bytes())
    issued.verify_directly_issued_by(new)


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    server = LocalAuthority(tmp_path / "ours").issue("consent")
    client = LocalAuthority(tmp_path / "theirs").issue("churn")
    with pytest.raises(ssl.SSLError):
        shake_hands(server, IssuedFiles(client.certificate, client.key, server.authorities))


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path)
    server = authority.issue("consent")
    expired = authority.issue("churn", not_after=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(ssl.SSLError):
        shake_hands(server, expired)


@pytest.mark.parametrize("name", ["", "..", "a/b", "authority", "Consent"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        LocalAuthority(tmp_path).issue(name)


def copy_of(files: IssuedFiles, folder: Path) -> IssuedFiles:
    folder.mkdir()
    copy = IssuedFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    copy.certificate.write_bytes(files.certificate.read_bytes())
    copy.key.write_bytes(files.key.read_bytes())
    return copy
