"""A witness cosigns only a log that goes on from what it saw, and keeps the proof where one does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rapport_privacy.merkle import consistency_proof, leaf_hash, root_of
from rapport_privacy.notes import Checkpoint, NoteError, NoteKey, open_checkpoint, signed_checkpoint
from rapport_privacy.witness import SplitViewError, Witness

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
KEY = NoteKey("example.com/log", PRIVATE.public_key().public_bytes_raw())
LEAVES = [leaf_hash(bytes([number])) for number in range(20)]


class Log:
    """A log that says what its leaves come to."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves

    @property
    def note(self) -> str:
        """Its signed checkpoint."""
        checkpoint = Checkpoint(KEY.name, len(self.leaves), root_of(self.leaves))
        return str(signed_checkpoint(checkpoint, KEY.public_key, PRIVATE.sign))

    async def prove(self, smaller: int, size: int) -> list[bytes]:
        """Prove that it continues a smaller one."""
        return consistency_proof(self.leaves[:size], smaller)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """A witness that has seen nothing."""
    return Witness(tmp_path / "witness", "witness.example.org")


async def take(witness: Witness, leaves: Sequence[bytes]) -> str:
    """Show a log to the witness."""
    log = Log(leaves)
    return await witness.take(log.note, [KEY], log.prove, seconds=1_700_000_000)


async def test_log_that_grows_is_cosigned_also_by_a_witness_that_was_started_again(
    witness: Witness, tmp_path: Path
) -> None:
    note = ""
    for size in (0, 0, 1, 7, 7, 20):
        note = await take(witness, LEAVES[:size])
        assert open_checkpoint(note, [KEY, witness.key])[1] == [KEY, witness.key]
    again = Witness(tmp_path / "witness", "witness.example.org")
    assert again.key == witness.key
    assert again.last(KEY.name) == (Checkpoint(KEY.name, 20, root_of(LEAVES)), note)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([*LEAVES[:6], LEAVES[9]], id="another log of the same size"),
        pytest.param(LEAVES[:6], id="a log that shrank"),
        pytest.param([*LEAVES[:3], LEAVES[9], *LEAVES[4:12]], id="a larger log with an entry rewritten"),
        pytest.param([], id="a log begun anew"),
    ],
)
async def test_split_view_is_not_cosigned_and_both_checkpoints_are_kept(witness: Witness, other: list[bytes]) -> None:
    seen = await take(witness, LEAVES[:7])
    with pytest.raises(SplitViewError) as found:
        await take(witness, other)
    evidence = found.value.evidence.read_text()
    assert seen in evidence
    assert Log(other).note in evidence
    assert witness.last(KEY.name) == (Checkpoint(KEY.name, 7, root_of(LEAVES[:7])), seen)
    await take(witness, LEAVES[:9])


async def test_checkpoint_of_an_unknown_key_is_not_cosigned(witness: Witness) -> None:
    log = Log(LEAVES)
    with pytest.raises(NoteError):
        await witness.take(log.note, [NoteKey(KEY.name, b"x" * 32)], log.prove, seconds=1)
    assert witness.last(KEY.name) is None
