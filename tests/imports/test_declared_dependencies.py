"""What a member imports it declares, or what it declares brings: libraries are installed once for all environments."""

import ast
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
OWNERS = packages_distributions()
OURS = {"rapport": "rapport-contracts", "buf": "rapport-contracts"}
"""Generated packages, by the member that holds them; every other of ours is named as its member is."""


def imported(source: Path) -> set[str]:
    """The modules a file imports, those of the standard library and of its own package apart."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def brought(member: str) -> set[str]:
    """The distributions that an installation of a member brings, all its extras included."""
    found: set[str] = set()
    wanted = [(canonicalize_name(member), extra) for extra in ["", *metadata(member).get_all("Provides-Extra", [])]]
    seen = set(wanted)
    while wanted:
        name, extra = wanted.pop()
        found.add(name)
        try:
            requirements = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue  # for another system, or another Python
        for each in requirements:
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                new = {(canonicalize_name(each.name), asked) for asked in ["", *each.extras]} - seen
                seen |= new
                wanted += new
    return found


def owners(module: str) -> set[str]:
    """The distributions that may have brought a module; a namespace is shared by several."""
    top = module.partition(".")[0]
    return {canonicalize_name(name) for name in OWNERS.get(top, [OURS.get(top, top)])}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_what_a_member_imports_it_declares(member: Path) -> None:
    project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = brought(project["name"])
    missing = {
        f"{source.relative_to(ROOT)}: {module}"
        for source in (member / "src").rglob("*.py")
        for module in imported(source)
        if not owners(module) & allowed
    }
    assert not missing
