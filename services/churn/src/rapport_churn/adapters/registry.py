"""Artefacts in a folder, each under the digest of its files: what is there under a name is what was put there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from rapport_churn.domain.errors import ERRORS


def digest_of(files: Mapping[str, bytes]) -> bytes:
    """Return the digest of an artefact: SHA-256 over a line for each file, its SHA-256 and its name, in order of names.

    It is that of the output of `sha256sum` over the sorted names, so that anybody can check it.
    """
    lines = (f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return sha256("".join(lines).encode()).digest()


class Registry:
    """Artefacts.

    Args:
        folder: Where they are; shared by all processes of the service.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, files: Mapping[str, bytes]) -> bytes:
        """Keep an artefact, durable when this returns, and return its digest; what is kept already is left alone."""
        digest = digest_of(files)
        place = self._folder / digest.hex()
        if place.is_dir():
            return digest
        self._folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            for name, content in files.items():
                _write(made / name, content)
            try:
                made.rename(place)
            except OSError:
                if not place.is_dir():  # another process was faster
                    raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
        _sync(self._folder)
        return digest

    def get(self, digest: bytes) -> dict[str, bytes]:
        """Return the files of an artefact.

        Raises:
            RapportError: MODEL_UNUSABLE: it is not there, or not what was put there.
        """
        place = self._folder / digest.hex()
        try:
            files = {path.name: path.read_bytes() for path in sorted(place.iterdir())}
        except OSError:
            raise ERRORS.error("MODEL_UNUSABLE", "the artefact is not in the registry") from None
        if digest_of(files) != digest:
            raise ERRORS.error("MODEL_UNUSABLE", "the artefact is not what was registered")
        return files


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
