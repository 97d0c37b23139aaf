"""Numbered secret keys in a folder: outside of every database, and so in none of their backups.

`keys.json` lists the numbers, the newest first, and says which one is active; `<number>.key` holds 32 bytes in
hexadecimal. Every key in the list may be read with, new things are written with the active one. Where the folder is a
mounted secret that nobody here may write, the operator makes the same changes to it in the same order.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rapport_chassis.key_folder import KeyFolderError, destroy_key_file, locked, write_key_file
from rapport_chassis.reloading import Reloaded

KEY_BYTES: Final = 32

_INDEX: Final = "keys.json"


@dataclass(frozen=True)
class KeyRing:
    """The keys of a folder at one time.

    Attributes:
        active: Number of the key to write with.
        keys: All keys by number, the newest first.
    """

    active: int
    keys: Mapping[int, bytes]

    def __repr__(self) -> str:
        """Keep the secrets out of logs and errors."""
        return f"KeyRing(active={self.active}, numbers={list(self.keys)})"


class SecretKeys:
    """The keys in a folder, read again whenever somebody changed it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Looked at each time: whoever asks works on a batch, and a key that was just made may be needed at once.
        self._ring = Reloaded("secret keys", [folder / _INDEX], lambda: _read(folder), check_every_s=0)

    @classmethod
    def load(cls, folder: Path) -> SecretKeys:
        """Read the keys; the first one is made if the folder is there and has none.

        Raises:
            KeyFolderError: The folder is missing or cannot be written, or what it holds does not fit together.
        """
        if not (folder / _INDEX).exists():
            with locked(folder):
                if not (folder / _INDEX).exists():
                    _write_key(folder, 1, secrets.token_bytes(KEY_BYTES))
                    _write_index(folder, 1, [1])
        return cls(folder)

    def current(self) -> KeyRing:
        """Return the keys as they are now; the last good ones while the folder cannot be read."""
        return self._ring.current()

    def add(self, *, activate: bool) -> int:
        """Make a new key and return its number, which no earlier key had.

        While the last key that was added is not yet the only one, that one is returned instead: a rotation that was
        cut off, or that somebody else has begun, goes on with its key.

        Args:
            activate: Whether new things are written with it from now on.

        Raises:
            KeyFolderError: The folder cannot be written.
        """
        with locked(self._folder):
            ring = _read(self._folder)
            number = max(ring.keys)
            if len(ring.keys) == 1:
                number += 1
                _write_key(self._folder, number, secrets.token_bytes(KEY_BYTES))
            _write_index(self._folder, number if activate else ring.active, sorted({*ring.keys, number}, reverse=True))
            return number

    def destroy(self, numbers: Collection[int]) -> None:
        """Destroy keys that nothing is read with any more; the newest one is active from now on.

        Raises:
            KeyFolderError: The folder cannot be written, or no key would be left.
        """
        with locked(self._folder):
            kept = [number for number in _read(self._folder).keys if number not in numbers]
            if not kept:
                raise KeyFolderError(f"the last key in {self._folder} cannot be destroyed")
            _write_index(self._folder, kept[0], kept)
            # Also what an earlier call, cut off after the list was written, left behind.
            for path in self._folder.glob("*.key"):
                if path.stem.isdecimal() and int(path.stem) not in kept and int(path.stem) < kept[0]:
                    destroy_key_file(path)


def _read(folder: Path) -> KeyRing:
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        keys = {number: bytes.fromhex((folder / f"{number}.key").read_text()) for number in index["numbers"]}
        ring = KeyRing(index["active"], MappingProxyType(keys))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyFolderError(f"the keys in {folder} cannot be read: {type(error).__name__}") from error
    if ring.active not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise KeyFolderError(f"the keys in {folder} do not fit together")
    return ring


def _write_key(folder: Path, number: int, key: bytes) -> None:
    write_key_file(folder / f"{number}.key", key.hex().encode())


def _write_index(folder: Path, active: int, numbers: list[int]) -> None:
    write_key_file(folder / _INDEX, json.dumps({"active": active, "numbers": numbers}).encode())
