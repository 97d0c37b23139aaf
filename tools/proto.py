"""Generate, check and release the contracts under proto/, offline.

`generate` writes the stubs, `check` says whether the committed ones are fresh, `lint` and `breaking` ask buf,
`save-image` renews what `breaking` compares against, `release` writes what a client in another language needs.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from google.longrunning import operations_proto_pb2
from google.protobuf import (
    any_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import code_pb2, error_details_pb2, status_pb2
from google.type import date_pb2, money_pb2
from grpc_tools import protoc as grpc_protoc
from proto_source import render
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
VALIDATE = "buf/validate/validate.proto"
VALIDATE_NOTICE = """\
// Copyright 2023-2026 Buf Technologies, Inc. Licensed under the Apache License, Version 2.0.
// Written from the descriptor in the protovalidate package; the commented original: github.com/bufbuild/protovalidate

"""
PACKAGES = ("buf", "rapport")

# The files that contracts may import besides one another.
IMPORTABLE = (
    any_pb2,
    code_pb2,
    date_pb2,
    duration_pb2,
    empty_pb2,
    error_details_pb2,
    field_mask_pb2,
    money_pb2,
    operations_proto_pb2,
    status_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)


class ToolError(Exception):
    """A step failed; the text says what to do about it."""


class Contracts:
    """The contracts of one checkout.

    Args:
        root: Folder that holds proto/ and libs/contracts/.
        scratch: Folder for intermediate files; the caller removes it.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self.proto = root / "proto"
        self.stubs = root / "libs" / "contracts" / "src"
        self.saved = self.proto / "saved.binpb"
        self.release_folder = root / "build" / "contracts"
        self.version: str = tomllib.loads((self.stubs.parent / "pyproject.toml").read_text())["project"]["version"]
        self.sources = sorted(path.relative_to(self.proto).as_posix() for path in self.proto.rglob("*.proto"))
        self._scratch = scratch
        self._imports = scratch / "imports.binpb"
        self._imports.write_bytes(imported_files().SerializeToString(deterministic=True))

    def _protoc(self, *arguments: str, path: Path | None = None) -> None:
        line = ["protoc", f"--descriptor_set_in={self._imports}", f"--proto_path={path or self.proto}", *arguments]
        if grpc_protoc.main(line) != 0:
            raise ToolError("protoc refused the contracts (see above)")

    def _buf(self, *arguments: str) -> None:
        environment = {**os.environ, "BUF_CACHE_DIR": str(self._scratch / "buf")}
        line = [str(TOOLS / "buf"), *arguments, "--config", str(self.proto / "buf.yaml")]
        if subprocess.run(line, env=environment, check=False).returncode != 0:
            raise ToolError(f"buf {arguments[0]} found faults (see above)")

    def image(self, *, with_comments: bool) -> Path:
        """Write the descriptors of all contracts with their imports, and return the file."""
        out = self._scratch / "image.binpb"
        comments = ["--include_source_info"] if with_comments else []
        self._protoc("--include_imports", *comments, f"--descriptor_set_out={out}", *self.sources)
        return out

    def generate(self) -> dict[str, bytes]:
        """Return the stubs of all contracts, path by path; the same contracts give the same bytes."""
        out = self._scratch / "stubs"
        out.mkdir()
        plugins = [f"--plugin={TOOLS / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
        self._protoc(*plugins, f"--python_out={out}", f"--mypy_out=quiet:{out}", *self.sources, VALIDATE)
        services = self._with_services()
        if services:
            self._protoc(*plugins, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services)
        for folder in [path for path in out.rglob("*") if path.is_dir()]:
            (folder / "__init__.py").touch()
        for package in PACKAGES:
            (out / package / "py.typed").touch()
        return read_tree(out)

    def _with_services(self) -> list[str]:
        files = FileDescriptorSet.FromString(self.image(with_comments=False).read_bytes()).file
        return [file.name for file in files if file.service and file.name in self.sources]

    def write_stubs(self) -> int:
        """Bring the committed stubs up to date and return how many files changed."""
        fresh, committed = self.generate(), self.committed()
        for name in committed.keys() - fresh.keys():
            (self.stubs / name).unlink()
        changed = [name for name, content in fresh.items() if committed.get(name) != content]
        for name in changed:
            path = self.stubs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fresh[name])
        return len(changed) + len(committed.keys() - fresh.keys())

    def committed(self) -> dict[str, bytes]:
        """Return the stubs as they are in the checkout."""
        return {name: content for name, content in read_tree(self.stubs).items() if name.split("/")[0] in PACKAGES}

    def check(self) -> None:
        """Raise ToolError, naming the files, unless the committed stubs are what the contracts generate."""
        fresh, committed = self.generate(), self.committed()
        stale = [f"  missing  {name}" for name in sorted(fresh.keys() - committed.keys())]
        stale += [f"  surplus  {name}" for name in sorted(committed.keys() - fresh.keys())]
        stale += [
            f"  differs  {name}" for name in sorted(fresh.keys() & committed.keys()) if fresh[name] != committed[name]
        ]
        if stale:
            raise ToolError("\n".join(["the stubs in libs/contracts are stale; run `make proto`:", *stale]))

    def lint(self) -> None:
        """Raise ToolError unless buf finds the contracts formatted and in order."""
        self._buf("format", "--diff", "--exit-code", str(self.proto))
        self._buf("lint", str(self.image(with_comments=True)))

    def breaking(self) -> None:
        """Raise ToolError where the contracts would break a client built from the saved image."""
        self._buf("breaking", str(self.image(with_comments=False)), "--against", str(self.saved))

    def save_image(self) -> None:
        """Make the contracts as they stand the ones that `breaking` holds later ones to."""
        self.saved.write_bytes(self.image(with_comments=False).read_bytes())

    def release(self) -> tuple[Path, Path]:
        """Write one descriptor set and one archive of sources with their imports, and return both paths."""
        self.release_folder.mkdir(parents=True, exist_ok=True)
        stem = f"rapport-contracts-{self.version}"
        descriptors = self.release_folder / f"{stem}.binpb"
        descriptors.write_bytes(self.image(with_comments=True).read_bytes())
        archive = self.release_folder / f"{stem}.tar.gz"
        archive.write_bytes(pack({f"{stem}/{name}": content for name, content in self._release_sources().items()}))
        return descriptors, archive

    def _release_sources(self) -> dict[str, bytes]:
        """Return our sources and those they import, but google/protobuf, which every compiler brings along."""
        files = FileDescriptorSet.FromString(self.image(with_comments=False).read_bytes()).file
        names = [file.name for file in files if not file.name.startswith("google/protobuf/")]
        own = {name: (self.proto / name).read_bytes() for name in self.sources}
        google = {name: google_source(name) for name in names if name.startswith("google/")}
        return own | google | {VALIDATE: self._validate_source()}

    def _validate_source(self) -> bytes:
        *known, wanted = imported_files().file
        source = VALIDATE_NOTICE + render(wanted, known)
        folder = self._scratch / "validate"
        (folder / VALIDATE).parent.mkdir(parents=True)
        (folder / VALIDATE).write_text(source)
        out = folder / "out.binpb"
        line = [f"--descriptor_set_in={self._imports}", f"--proto_path={folder}", f"--descriptor_set_out={out}"]
        if (
            grpc_protoc.main(["protoc", *line, VALIDATE])
            or FileDescriptorSet.FromString(out.read_bytes()).file[0] != wanted
        ):
            raise ToolError(f"{VALIDATE} does not survive being written as source; mend tools/proto_source.py")
        return source.encode()


def imported_files() -> FileDescriptorSet:
    """Return every file that contracts may import, each after those it imports itself.

    validate.proto is published as source in no Python package; its descriptor is inside the protovalidate wheel.
    """
    found: dict[str, FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        if file.name not in found:
            found[file.name] = FileDescriptorProto.FromString(file.serialized_pb)

    for module in IMPORTABLE:
        add(module.DESCRIPTOR)
    found[VALIDATE] = FileDescriptorProto.FromString(validate_pb._DESC.proto.to_binary())
    return FileDescriptorSet(file=found.values())


def google_source(name: str) -> bytes:
    """Return the source of a file of googleapis, as its package ships it beside the generated module."""
    path = Path(str(money_pb2.__file__)).parents[2] / name
    beside = path.with_name(f"{path.stem}_proto.proto")  # where google/longrunning/operations.proto is found
    return (path if path.exists() else beside).read_bytes()


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its relative path, compiled Python aside."""
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def pack(files: dict[str, bytes]) -> bytes:
    """Return a tar.gz of the files, the same bytes for the same files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(raw.getvalue(), mtime=0)


@contextmanager
def contracts(root: Path) -> Iterator[Contracts]:
    """Open the contracts of a checkout with a scratch folder of their own."""
    with tempfile.TemporaryDirectory(prefix="rapport-proto-") as scratch:
        yield Contracts(root, Path(scratch))


def run(command: str, root: Path) -> Iterable[str]:
    """Carry out one command and yield what to tell."""
    with contracts(root) as held:
        if command == "generate":
            yield f"{held.write_stubs()} stub files changed"
        elif command == "check":
            held.check()
            yield "the stubs are fresh"
        elif command == "lint":
            held.lint()
            yield f"{len(held.sources)} files in order"
        elif command == "breaking":
            held.breaking()
            yield "nothing breaks against proto/saved.binpb"
        elif command == "save-image":
            held.save_image()
            yield "proto/saved.binpb renewed"
        else:
            yield from (str(path) for path in held.release())


def main() -> int:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["generate", "check", "lint", "breaking", "save-image", "release"])
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: the one this file is in)")
    arguments = parser.parse_args()
    try:
        for line in run(arguments.command, arguments.root.resolve()):
            print(line)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
