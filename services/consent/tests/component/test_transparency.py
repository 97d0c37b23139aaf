"""The transparency log as auditors, witnesses and the person see it, and what becomes of it when somebody cheats."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TypeAlias

import pytest
from consent_desk import OFFICE, OFFICER, ROLES, Desk, open_desk, profile
from consent_load import Load
from consent_rig import Rig
from rapport.consent.v1 import consent_pb2, transparency_pb2, transparency_pb2_grpc
from rapport_privacy.log_proofs import LogProof, Opening, ProofError, verify_opened
from rapport_privacy.merkle import is_consistent, is_included, leaf_hash, root_of
from rapport_privacy.notes import NoteKey, open_checkpoint
from rapport_testing.prove import Scale
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

Log: TypeAlias = "transparency_pb2_grpc.TransparencyServiceAsyncStub"


def log_of(desk: Desk) -> Log:
    """The log, as an auditor of the office calls it."""
    token = desk.installation.actor_token(OFFICE, roles=[OFFICER])
    return desk.officer.stub(transparency_pb2_grpc.TransparencyServiceStub, actor_token=token)


async def checkpoint(log: Log, size: int = 0) -> transparency_pb2.Checkpoint:
    """The head of the log, its note verified."""
    found = await log.GetCheckpoint(transparency_pb2.GetCheckpointRequest(tree_size=size))
    head, _ = open_checkpoint(found.note, map(NoteKey.parse, found.verifier_keys))
    assert (head.origin, head.size, head.root) == (found.origin, found.tree_size, found.root_hash)
    return found


async def until_logged(desk: Desk, log: Log) -> transparency_pb2.Checkpoint:
    """The head of the log once it holds every row that the ledger has now."""
    rows = (await desk.head()).position

    async def caught_up() -> transparency_pb2.Checkpoint | None:
        found = await checkpoint(log)
        return found if found.tree_size >= rows else None

    return await eventually(caught_up)


async def leaves(log: Log) -> list[bytes]:
    """Every leaf."""
    found: list[bytes] = []
    while True:
        answer = await log.ListEntries(transparency_pb2.ListEntriesRequest(start=len(found), page_size=7))
        found += answer.leaves
        if len(found) >= answer.tree_size:
            return found


async def faults(log: Log, page: int = 0) -> list[tuple[int, str]]:
    """What the comparison of ledger and log finds."""
    found, after = [], 0
    while True:
        request = transparency_pb2.VerifyLedgerRequest(after_position=after, page_size=page)
        answer = await log.VerifyLedger(request)
        found += [(fault.position, fault.fault) for fault in answer.faults]
        after = answer.next_position
        if not after:
            return found


async def test_every_row_is_logged_proven_and_the_log_only_grows(desk: Desk) -> None:
    log = log_of(desk)
    before = await until_logged(desk, log)
    people = [profile() for _ in range(5)]
    for person in people:
        await desk.answer(person, "yes promo", "no stats")
    after = await until_logged(desk, log)
    everything = (await leaves(log))[: after.tree_size]
    assert root_of(map(leaf_hash, everything)) == after.root_hash
    assert all(person.encode() not in leaf for leaf in everything for person in people)
    for index in (0, before.tree_size, after.tree_size - 1):
        for size in (index + 1, after.tree_size):
            proof = await log.GetInclusionProof(transparency_pb2.GetInclusionProofRequest(index=index, tree_size=size))
            assert proof.leaf == everything[index]
            assert is_included(leaf_hash(proof.leaf), index, size, proof.hashes, proof.root_hash)
            assert len(proof.hashes) <= size.bit_length()
    for size in (1, before.tree_size, after.tree_size):
        request = transparency_pb2.GetConsistencyProofRequest(from_size=size, tree_size=after.tree_size)
        grown = await log.GetConsistencyProof(request)
        earlier = (await checkpoint(log, size)).root_hash
        assert is_consistent(size, earlier, after.tree_size, after.root_hash, grown.hashes)


async def test_proof_that_was_tampered_with_proves_nothing(desk: Desk) -> None:
    log = log_of(desk)
    written = await desk.answer(profile(), "yes promo", "no stats")
    await until_logged(desk, log)
    found = await log.GetInclusionProof(
        transparency_pb2.GetInclusionProofRequest(reference=written.entries[0].receipt_id)
    )
    keys = [NoteKey.parse(key) for key in (await checkpoint(log)).verifier_keys]
    proof = LogProof.parse(found.proof)
    leaf, hashes = Opening.parse(proof.extra).leaf, proof.hashes
    assert proof.verify(leaf, keys)[0].size == found.tree_size
    assert len(hashes) > 1
    _, _, signature = proof.checkpoint.rpartition("\n\n")
    other = await checkpoint(log, found.tree_size - 1)
    forged = [
        (leaf + b" ", proof),
        (leaf, replace(proof, index=proof.index ^ 1)),
        (leaf, replace(proof, hashes=(hashes[1], hashes[0], *hashes[2:]))),
        (leaf, replace(proof, hashes=hashes[:-1])),
        (leaf, replace(proof, hashes=(*hashes, hashes[0]))),
        (leaf, replace(proof, checkpoint=other.note)),
        (leaf, replace(proof, checkpoint=f"{other.note.rpartition(chr(10) * 2)[0]}\n\n{signature}")),
    ]
    for changed, forgery in forged:
        with pytest.raises(ProofError):
            forgery.verify(changed, keys)


async def test_receipt_opens_its_leaf_until_an_erasure_and_the_leaf_stays(desk: Desk) -> None:
    log, person = log_of(desk), profile()
    written = await desk.answer(person, "yes promo")
    receipt_id = written.entries[0].receipt_id
    receipt = await desk.shop.GetReceipt(consent_pb2.GetReceiptRequest(receipt_id=receipt_id))
    keys = [NoteKey.parse(key) for key in (await checkpoint(log)).verifier_keys]
    record, _, _ = verify_opened(LogProof.parse(receipt.log_proof), keys)
    assert (record["receipt_id"], record["named_id"], record["kind"]) == (receipt_id, person, "grant")
    index = LogProof.parse(receipt.log_proof).index
    await desk.fence(person)
    with refused("LOG_INDEX_UNKNOWN", "reference"):
        await log.GetInclusionProof(transparency_pb2.GetInclusionProofRequest(reference=receipt_id))
    await until_logged(desk, log)
    assert (await leaves(log))[index] == Opening.parse(LogProof.parse(receipt.log_proof).extra).leaf
    assert await faults(log, page=3) == []


async def test_sizes_and_places_that_never_were_and_unknown_witnesses_are_refused(desk: Desk) -> None:
    log = log_of(desk)
    size = (await until_logged(desk, log)).tree_size
    with refused("LOG_INDEX_UNKNOWN", "index"):
        await log.GetInclusionProof(transparency_pb2.GetInclusionProofRequest(index=size, tree_size=size))
    with refused("LOG_SIZE_UNKNOWN", "tree_size"):
        await log.GetCheckpoint(transparency_pb2.GetCheckpointRequest(tree_size=size + 10_000))
    with refused("COSIGNATURE_REFUSED", "note"):
        await log.AddCosignature(transparency_pb2.AddCosignatureRequest(note=(await checkpoint(log)).note))
    with refused("LOG_SIZE_UNKNOWN", "from_size"):
        await log.GetConsistencyProof(transparency_pb2.GetConsistencyProofRequest(from_size=size + 1, tree_size=size))


async def test_row_that_is_rewritten_removed_or_hidden_is_found(rig: Rig) -> None:
    await rig.running()
    async with open_desk(rig.installation) as desk:
        await desk.until_serving(*ROLES)
        log = log_of(desk)
        written = await desk.answer(profile(), "yes promo", "no stats", "yes order")
        await until_logged(desk, log)
        assert await faults(log) == []
        database, sql = rig.installation.database.name, rig.installation.postgres.execute
        first, second, third = (entry.position for entry in written.entries)
        cheats = [
            (f"UPDATE ledger SET kind = 'grant' WHERE position = {second}", [(second, "ROW_CHANGED")]),
            (f"UPDATE ledger SET occurred_at = now() WHERE position = {second}", [(second, "ROW_CHANGED")]),
            (f"UPDATE ledger SET change = 'x' WHERE position = {third}", [(third, "ROW_CHANGED")]),
            (f"UPDATE ledger SET kind = 'blank' WHERE position = {third}", [(third, "ROW_CHANGED")]),
            (f"DELETE FROM ledger WHERE position = {first}", [(first, "ROW_MISSING")]),
            ("UPDATE transparency_head SET root = sha256('x')", [(0, "ROOT_CHANGED")]),
            ("DELETE FROM transparency_openings", None),
        ]
        for cheat, expected in cheats:
            keep = "CREATE TABLE kept AS TABLE {0}; {1}"
            table = cheat.split()[1] if cheat.startswith("UPDATE") else cheat.split()[2]
            sql(keep.format(table, cheat), database)
            try:
                found = await faults(log)
            finally:
                sql(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept", database)
            assert found == expected if expected else (first, "OPENING_MISSING") in found, cheat
        assert await faults(log) == []


@pytest.mark.heavy
async def test_log_killed_within_a_batch_goes_on_and_holds_each_row_once(rig: Rig, scale: Scale) -> None:
    for passage in range(1, scale.pick(small=2, full=25)):
        await rig.restart(f"log.locked=kill@{passage}")
        async with open_desk(rig.installation) as desk:
            load = Load(desk, writers=4, writes=2 * (passage + 10))
            await asyncio.gather(load.run(), rig.killed_at(["log.written"], passage))
            await desk.until_serving(*ROLES)
            log = log_of(desk)
            head = await until_logged(desk, log)
            everything = await leaves(log)
            assert len(everything) == (await desk.head()).position
            assert root_of(map(leaf_hash, everything)) == head.root_hash
            assert await faults(log) == []
