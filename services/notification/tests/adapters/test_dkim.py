"""Signatures against dkimpy, which shares no code with the signer."""

import base64
import hashlib
import re

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_notification.sending.dkim import DkimKey, DkimSigner, relaxed_body
from rapport_notification.sending.fields import Text
from rapport_notification.sending.mime import write


def verified(data: bytes, key: RSAPrivateKey, *, index: int = 0) -> bool:
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def record(name: bytes | str, timeout: int = 5) -> bytes:
        assert name in {b"r1._domainkey.brand.example.", "r1._domainkey.brand.example."}
        return b"v=DKIM1; k=rsa; p=" + public

    try:
        return bool(dkim.DKIM(data).verify(idx=index, dnsfunc=record))
    except dkim.ValidationError:
        return False


@pytest.fixture
def signed(mail, keys):
    def make(**changes) -> bytes:
        written = write(mail(**changes))
        return written.joined(*DkimSigner("brand.example", keys[:1]).sign(written, 1_793_000_000))

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"subject": Text("Prix réduit: " + "très " * 30), "sender_name": Text("Maison « É »")},
        {"text": "a  b\t\tc   \n \n\n\n", "html": "<p>  trailing   </p>\n\n\n"},
        {"html": "", "unsubscribe": None, "list_id": None},
        {"text": "." + "\n..\n." * 5},
    ],
    ids=str,
)
def test_an_independent_verifier_accepts_it(signed, rsa_key, changes) -> None:
    assert verified(signed(**changes), rsa_key)


@pytest.mark.parametrize(
    "change",
    [
        (b"Subject: ", b"Subject: Re: "),
        (b"List-Unsubscribe: <https://mail", b"List-Unsubscribe: <https://evil"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
        (b"MIME-Version: ", b"Subject: second\r\nMIME-Version: "),
        (b"MIME-Version: ", b"List-Unsubscribe: <https://evil.example/>\r\nMIME-Version: "),
        (b"MIME-Version: ", b"List-Unsubscribe-Post: List-Unsubscribe=No\r\nMIME-Version: "),
        (b"MIME-Version: ", b"From: b@example.org\r\nMIME-Version: "),
        (b"MIME-Version: ", b"Reply-To: b@example.org\r\nMIME-Version: "),
        (b"Good morning", b"Good evening"),
    ],
    ids=str,
)
def test_any_change_or_added_header_breaks_it(signed, rsa_key, change) -> None:
    data = signed()
    assert data.count(change[0]) >= 1
    assert not verified(data.replace(change[0], change[1], 1), rsa_key)


def test_both_list_headers_are_named_twice(signed) -> None:
    found = re.search(rb"h=([^;]*);", signed())
    assert found is not None
    names = found[1].split(b":")
    for name in (b"from", b"to", b"subject", b"list-unsubscribe", b"list-unsubscribe-post"):
        assert names.count(name) == 2


def test_two_keys_make_two_signatures_and_each_holds(mail, keys, rsa_key) -> None:
    written = write(mail())
    both = DkimSigner("brand.example", keys).sign(written, 1_793_000_000)
    assert verified(written.joined(*both), rsa_key)
    name, value = both[1]
    assert b"a=ed25519-sha256" in value
    # As RFC 8463 says: the key signs the hash of what RSA would sign.
    unsigned, _, signature = value.rpartition(b"b=")
    names = re.search(rb"h=([^;]*);", value)
    assert names is not None
    waiting = [(each.lower(), held) for each, held in written.headers]
    signed = []
    for each in names[1].split(b":"):
        found = next((header for header in reversed(waiting) if header[0] == each), None)
        if found is not None:
            waiting.remove(found)
            signed.append(found)
    canonical = Relaxed.canonicalize_headers([*signed, (name, unsigned + b"b=")])
    data = b"".join(header + b":" + held for header, held in canonical).removesuffix(b"\r\n")
    public = keys[1].key.public_key()
    public.verify(base64.b64decode(signature.replace(b"\r\n ", b"")), hashlib.sha256(data).digest())


def test_weak_or_lonely_keys_are_refused() -> None:
    for keys in ([], [DkimKey("e1", Ed25519PrivateKey.generate())], [DkimKey("r1", generate_private_key(65537, 1024))]):
        with pytest.raises(ValueError, match="key"):
            DkimSigner("brand.example", keys)


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"a", b" ", b"  ", b"\t", b"\r\n", b"=20", b"\r\n\r\n"]), max_size=20))
def test_a_body_is_made_relaxed_as_the_verifier_does_it(parts: list[bytes]) -> None:
    body = b"".join(parts)
    expected = Relaxed.canonicalize_body(body if body.endswith(b"\r\n") else body + b"\r\n")
    assert relaxed_body(body if body.endswith(b"\r\n") else body + b"\r\n") == expected
