"""`rapport witness`: watch the transparency log, and cosign what it says as long as it only grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rapport.consent.v1 import transparency_pb2, transparency_pb2_grpc
from rapport_chassis.rpc.status import RemoteError
from rapport_privacy.merkle import Frontier, leaf_hash
from rapport_privacy.notes import Checkpoint, NoteError, NoteKey, open_checkpoint
from rapport_privacy.witness import SplitViewError, Witness

from rapport_local import access
from rapport_local.calling import explain, stub_of
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, running

_TRUSTED: Final = "log-keys"
_PAGE: Final = 1_000


@click.command()
@environment_option
@click.option("--as", "client", default=access.CLI, show_default=True, help="Client whose certificate is shown.")
@click.option("--name", default="witness.rapport.example", show_default=True, help="Name under which it cosigns.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="Its folder; by default of the suite.")
@click.option("--trust", multiple=True, metavar="KEY", help="Key of the log, as GetCheckpoint lists it; kept.")
@click.option("--every", type=click.FloatRange(min=0.1), help="Go on, and look again after so many seconds.")
@click.option("--publish", is_flag=True, help="Hand the cosignature in: proofs show it if the log knows this witness.")
@click.option("--ledger", is_flag=True, help="Have the ledger compared with the log, too.")
@click.option("--leaves", is_flag=True, help="Read every leaf, and compute the root from them.")
def witness(
    environment: Environment,
    client: str,
    name: str,
    state: Path | None,
    trust: Sequence[str],
    every: float | None,
    publish: bool,
    ledger: bool,
    leaves: bool,
) -> None:
    """Fetch the log's checkpoint, prove that it continues the last one seen, and cosign it.

    The keys of the log are those given by --trust; without any, those that it lists the first time. Exit code 1 if the
    log shrank, was rewritten, or shows different views to different people: both signed checkpoints are kept as proof.
    """
    folder = state or environment.folder / "witness"
    try:
        witnessing = Witness(folder, name)
        while True:
            looking = _look(
                environment, client, witnessing, folder, trust, publish=publish, ledger=ledger, leaves=leaves
            )
            asyncio.run(looking)
            if every is None:
                return
            time.sleep(every)
    except SplitViewError as error:
        raise Failure(f"the transparency log is not to be trusted: {error}", details=str(error.evidence)) from error
    except NoteError as error:
        raise Failure(f"the checkpoint is not cosigned: {error}", hint="after a rotation: --trust KEY") from error
    except RemoteError as error:
        raise explain(error, client=client) from error


async def _look(
    environment: Environment,
    client: str,
    witnessing: Witness,
    folder: Path,
    trust: Sequence[str],
    *,
    publish: bool,
    ledger: bool,
    leaves: bool,
) -> None:
    async with stub_of(
        environment, running(environment), "consent", transparency_pb2_grpc.TransparencyServiceStub, client
    ) as log:
        found = await log.GetCheckpoint(transparency_pb2.GetCheckpointRequest())
        keys = _trusted(folder / _TRUSTED, trust or (), found.verifier_keys)

        async def prove(smaller: int, size: int) -> Sequence[bytes]:
            request = transparency_pb2.GetConsistencyProofRequest(from_size=smaller, tree_size=size)
            return list((await log.GetConsistencyProof(request)).hashes)

        before = witnessing.last(found.origin)
        note = await witnessing.take(found.note, keys, prove, seconds=int(time.time()))
        checkpoint, _ = open_checkpoint(note, [witnessing.key])
        grown = f"continues {before[0].size}" if before else "seen for the first time"
        click.echo(f"{checkpoint.origin}: {checkpoint.size} entries, {grown}; cosigned as {witnessing.key}")
        if publish:
            await log.AddCosignature(transparency_pb2.AddCosignatureRequest(note=note))
        if leaves:
            await _recompute(log, checkpoint)
        if ledger:
            await _compare(log)


def _trusted(path: Path, given: Sequence[str], listed: Sequence[str]) -> list[NoteKey]:
    """Return the log's keys: those kept and those given; the first time, for want of others, those it lists."""
    kept = path.read_text(encoding="utf-8").split() if path.exists() else []
    texts = list(dict.fromkeys([*kept, *given])) or list(listed)
    keys = [NoteKey.parse(text) for text in texts]
    if texts != kept:
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return keys


async def _recompute(log: transparency_pb2_grpc.TransparencyServiceAsyncStub, checkpoint: Checkpoint) -> None:
    tree = Frontier()
    while tree.size < checkpoint.size:
        page = min(_PAGE, checkpoint.size - tree.size)
        answer = await log.ListEntries(transparency_pb2.ListEntriesRequest(start=tree.size, page_size=page))
        if not answer.leaves:
            break
        for leaf in answer.leaves:
            tree.append(leaf_hash(leaf))
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise Failure(f"the {tree.size} leaves do not come to the root of the checkpoint")
    click.echo(f"{tree.size} leaves read: they come to the root")


async def _compare(log: transparency_pb2_grpc.TransparencyServiceAsyncStub) -> None:
    compared = blanked = after = 0
    faults: list[str] = []
    while True:
        answer = await log.VerifyLedger(transparency_pb2.VerifyLedgerRequest(after_position=after))
        compared, blanked = compared + answer.compared, blanked + answer.blanked
        faults += [f"position {fault.position}: {fault.fault}" for fault in answer.faults]
        after = answer.next_position
        if not after:
            break
    if faults:
        raise Failure("the ledger does not say what was logged of it", details="\n".join(faults[:50]))
    click.echo(f"{compared} rows of the ledger say what was logged of them; {blanked} were erased")
