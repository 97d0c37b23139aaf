"""What witnesses sign is shown in proofs, so that whoever trusts them need not trust the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.settings import DatabaseSettings
from rapport_chassis.signing import SigningKeys
from rapport_consent.adapters import transparency_intake
from rapport_consent.adapters.transparency import TransparencyLog
from rapport_privacy.log_proofs import ProofError, verify_logged
from rapport_privacy.witness import Witness

ORIGIN = "consent.rapport.example/log"


@pytest.fixture
async def opened(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database, as the service sees it."""
    database = Database(settings, service="consent")
    await database.open()
    yield database
    await database.close()


async def log_event(database: Database, reference: str) -> None:
    """Have something logged."""
    async with database.transaction() as connection:
        await transparency_intake.record(
            connection, reference=reference, request_id="req_1", event="CLOSED", document={}
        )


async def test_cosignature_of_a_known_witness_is_in_proofs_and_no_other_is_taken_in(
    opened: Database, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    keys = SigningKeys.load(tmp_path / "keys", SystemClock())
    raw = keys.public_keys()[0].public_key
    known, other = Witness(tmp_path / "known", "known.example"), Witness(tmp_path / "other", "other.example")
    log = TransparencyLog(opened, keys, origin=ORIGIN, witnesses=[known.key])

    async def prove(smaller: int, size: int) -> Sequence[bytes]:
        return (await log.consistency(smaller, size))[1]

    async def take(witness: Witness) -> str:
        _, note = await log.checkpoint()
        return await witness.take(note, log.verifier_keys(), prove, seconds=1_700_000_000)

    for number in range(3):
        await log_event(opened, f"req_1/{number}")
    await log.extend()
    with pytest.raises(ProofError, match="has not cosigned"):
        verify_logged(await log.proof("req_1/0"), [raw], [known.key])
    with pytest.raises(RapportError, match="COSIGNATURE_REFUSED"):
        await log.cosign(await take(other))
    cosigned = await take(known)
    with pytest.raises(RapportError, match="COSIGNATURE_REFUSED"):
        await log.cosign(cosigned.replace("\n3\n", "\n2\n"))
    for _ in range(2):
        head, note = await log.cosign(cosigned)
        assert (head.size, note) == (3, cosigned)
    await log_event(opened, "req_1/later")
    late = await log.proof("req_1/later")
    assert verify_logged(late, [raw])[1].size == 4
    with pytest.raises(ProofError, match="has not cosigned"):
        verify_logged(late, [raw], [known.key])
    fields, checkpoint = verify_logged(await log.proof("req_1/2"), [raw], [known.key])
    assert (fields["reference"], checkpoint.size) == ("req_1/2", 3)
    await log.cosign(await take(known))
    assert verify_logged(await log.proof("req_1/0"), [raw], [known.key])[1].size == 4
    elsewhere = TransparencyLog(opened, keys, origin="another.example/log", witnesses=[known.key])
    with pytest.raises(RapportError, match="COSIGNATURE_REFUSED"):
        await elsewhere.cosign(cosigned)
