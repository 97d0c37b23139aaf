"""What tools/proto.py promises: fresh stubs, lint, and a breaking check that sees what it must."""

from __future__ import annotations

import re
import tarfile
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc
from packaging.requirements import Requirement
from packaging.version import Version

FRESHNESS = "rapport/common/v1/freshness.proto"


def test_committed_stubs_are_what_the_contracts_generate(checkout: Any) -> None:
    result = checkout.tool("check")
    assert result.returncode == 0, result.stderr


def test_a_changed_contract_fails_the_check_which_names_the_stub_and_generating_mends_it_once(copied: Any) -> None:
    copied.edit(FRESHNESS, "uint64 position = 2;", "uint64 position = 2;\n  // Added.\n  bool added = 3;")
    (copied.root / "libs/contracts/src/rapport/surplus_pb2.py").touch()
    result = copied.tool("check")
    assert result.returncode == 1
    assert "differs  rapport/common/v1/freshness_pb2.py" in result.stderr
    assert "surplus  rapport/surplus_pb2.py" in result.stderr
    assert "event_pb2" not in result.stderr
    assert copied.tool("generate").stdout.startswith("3 stub files")
    assert copied.tool("generate").stdout.startswith("0 stub files")


def test_contracts_pass_lint(checkout: Any) -> None:
    result = checkout.tool("lint")
    assert result.returncode == 0, result.stdout + result.stderr


def test_lint_refuses_what_the_rules_forbid(copied: Any) -> None:
    copied.edit(FRESHNESS, "  // Position inside the epoch; gap-free and in commit order.\n", "")
    copied.edit(FRESHNESS, "uint64 position = 2;", "uint64 Position = 2;")
    result = copied.tool("lint")
    assert result.returncode == 1
    assert "comment" in result.stdout
    assert "lower_snake_case" in result.stdout


def test_lint_refuses_what_is_not_written_as_it_would_be_formatted(copied: Any) -> None:
    copied.edit(FRESHNESS, "uint64 position = 2;", "uint64  position = 2;")
    result = copied.tool("lint")
    assert result.returncode == 1
    assert "-  uint64  position = 2;" in result.stdout


def test_contracts_do_not_break_the_saved_image(checkout: Any) -> None:
    result = checkout.tool("breaking")
    assert result.returncode == 0, result.stdout + result.stderr


def test_contracts_may_grow_but_lose_renumber_retype_or_rename_no_field(copied: Any) -> None:
    saved = """
// Four fields, of which none stays as it is.
message Broken {
  // Is removed.
  string removed = 1;
  // Gets another number.
  string renumbered = 2;
  // Gets another type.
  uint64 retyped = 3;
  // Gets another name.
  uint64 renamed = 4;
}
"""
    contract = copied.root / "proto" / FRESHNESS
    contract.write_text(contract.read_text() + saved)
    assert copied.tool("save-image").returncode == 0
    copied.edit(FRESHNESS, "uint64 position = 2;", "uint64 position = 2;\n  // Added.\n  bool added = 3;")
    result = copied.tool("breaking")
    assert result.returncode == 0, result.stdout
    copied.edit(FRESHNESS, "  // Is removed.\n  string removed = 1;\n", "")
    copied.edit(FRESHNESS, "renumbered = 2", "renumbered = 5")
    copied.edit(FRESHNESS, "uint64 retyped", "uint32 retyped")
    copied.edit(FRESHNESS, "uint64 renamed", "uint64 called")
    result = copied.tool("breaking")
    assert result.returncode == 1
    for complaint in (
        'field "1" with name "removed"',
        'field "2" with name "renumbered"',
        'Field "3" with name "retyped" on message "Broken" changed type',
        'Field "4" on message "Broken" changed name',
    ):
        assert complaint in result.stdout, result.stdout


def test_a_release_is_the_same_bytes_each_time_and_compiles_with_nothing_but_itself(
    copied: Any, tmp_path: Path
) -> None:
    _, archive = copied.tool("release").stdout.split()
    content = Path(archive).read_bytes()
    descriptors, archive = copied.tool("release").stdout.split()
    assert Path(archive).read_bytes() == content
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "release", filter="data")
    (folder,) = (tmp_path / "release").iterdir()
    sources = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.proto"))
    assert "buf/validate/validate.proto" in sources
    out = tmp_path / "compiled.binpb"
    well_known = f"{protoc.__file__.removesuffix('protoc.py')}_proto"
    line = ["protoc", f"-I{folder}", f"-I{well_known}", "--include_imports", f"--descriptor_set_out={out}", *sources]
    assert protoc.main(line) == 0
    compiled = {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file}
    for file in FileDescriptorSet.FromString(Path(descriptors).read_bytes()).file:
        file.ClearField("source_code_info")
        if not file.name.startswith("google/protobuf/"):
            assert compiled[file.name] == file


def test_stubs_ask_for_no_newer_runtime_than_the_package_declares(checkout: Any) -> None:
    stubs = (checkout.root / "libs/contracts/src").rglob("*.py")
    text = "\n".join(path.read_text() for path in stubs)
    asked = {
        "protobuf": set(re.findall(r"Protobuf Python Version: ([\d.]+)", text)),
        "grpcio": set(re.findall(r"GRPC_GENERATED_VERSION = '([\d.]+)'", text)),
    }
    declared = {one.name: one for one in map(Requirement, requires("rapport-contracts") or [])}
    for package, versions in asked.items():
        assert versions
        floors = [Version(rule.version) for rule in declared[package].specifier if rule.operator == ">="]
        assert floors
        assert max(map(Version, versions)) <= max(floors)
