"""A snapshot's states as they are stored, put into messages without looking at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rapport.consent.v1 import consent_pb2

MOST_BYTES: Final = 1024 * 1024
"""Most bytes of states or changes in one message, where one alone is not larger; a client takes 4 MiB."""

_CHUNK_FIELD: Final = consent_pb2.StreamSnapshotResponse.CHUNK_FIELD_NUMBER
_SUBJECTS: Final = consent_pb2.SnapshotChunk.SUBJECTS_FIELD_NUMBER


def chunks_of(states: Iterable[bytes], most_bytes: int = MOST_BYTES) -> Iterator[consent_pb2.StreamSnapshotResponse]:
    """Yield stored states in messages of a bearable size.

    Encoded states are put together and parsed at once: a tenth of the time of parsing and copying one by one.
    """
    heads = _Heads(_SUBJECTS)
    fields: list[bytes] = []
    size = 0
    for state in states:
        length = len(state)
        if size + length > most_bytes and fields:
            yield _chunk(fields)
            fields, size = [], 0
        fields += (heads[length], state)
        size += length
    if fields:
        yield _chunk(fields)


def _chunk(fields: Sequence[bytes]) -> consent_pb2.StreamSnapshotResponse:
    content = b"".join(fields)
    return consent_pb2.StreamSnapshotResponse.FromString(_Heads(_CHUNK_FIELD)[len(content)] + content)


class _Heads(dict[int, bytes]):
    """What goes before the content of a field over the wire, by the length of the content."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, length: int) -> bytes:
        head = bytearray((self._number << 3 | 2,))
        left = length
        while left > 0x7F:
            head.append(left & 0x7F | 0x80)
            left >>= 7
        head.append(left)
        made = self[length] = bytes(head)
        return made
