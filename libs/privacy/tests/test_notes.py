"""Signed notes are those that others write and read; nothing that was changed is believed."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rapport_privacy.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteError,
    NoteKey,
    cosigned,
    open_checkpoint,
    signed_checkpoint,
)

# The example of golang.org/x/mod/sumdb/note, where the format comes from.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
LOG_KEY = NoteKey("example.com/log", LOG.public_key().public_bytes_raw())
WITNESS_KEY = NoteKey("witness.example.org", WITNESS.public_key().public_bytes_raw(), COSIGNATURE)
HEAD = Checkpoint("example.com/log", 7, b"r" * 32)
NOTE = signed_checkpoint(HEAD, LOG_KEY.public_key, LOG.sign)


def test_note_and_key_of_another_implementation_are_read_verified_and_written_alike() -> None:
    key, note = NoteKey.parse(GO_KEY), Note.parse(GO_NOTE)
    assert note.verified_by([key]) == [key]
    assert (str(key), str(note)) == (GO_KEY, GO_NOTE)


def test_checkpoint_and_cosignature_are_opened_by_whoever_has_the_keys() -> None:
    note = str(cosigned(NOTE, WITNESS_KEY, 1_700_000_000, WITNESS.sign))
    assert open_checkpoint(note, [LOG_KEY, WITNESS_KEY]) == (HEAD, [LOG_KEY, WITNESS_KEY])
    assert open_checkpoint(note, [LOG_KEY]) == (HEAD, [LOG_KEY])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n7\n", "\n8\n"),
        ("\n7\n", "\n07\n"),
        ("example.com/log\n7", "example.com/lag\n7"),
        ("\n\n", "\n"),
        ("— ", "- "),
        ("— example.com/log ", "— somebody.else "),
        ("\n7\n", "\n7\r\n"),
    ],
)
def test_note_with_anything_changed_is_not_opened(old: str, new: str) -> None:
    text = str(NOTE)
    assert old in text
    with pytest.raises(NoteError):
        open_checkpoint(text.replace(old, new, 1), [LOG_KEY])


def test_cosignature_with_another_time_or_under_a_plain_key_is_refused() -> None:
    signed = WITNESS.sign(NOTE.text.encode())
    with pytest.raises(NoteError, match="does not belong"):
        NOTE.signed(WITNESS_KEY, bytes(8) + signed).verified_by([WITNESS_KEY])
    with pytest.raises(NoteError, match="no key"):
        open_checkpoint(str(NOTE), [NoteKey("example.com/log", WITNESS_KEY.public_key)])


@pytest.mark.parametrize("text", ["", "a+b", "a+c74f20a3+AAAA", f"x{GO_KEY}", GO_KEY.replace("ARpc", "BRpc")])
def test_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        NoteKey.parse(text)
