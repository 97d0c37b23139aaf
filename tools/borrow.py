"""Gives a test environment its members: `python tools/borrow.py LENDER -e FOLDER…`, run by the environment's Python.

The environment LENDER holds every library of the lock and every member. The running one is told of its libraries and of
the folders of the members it names, those alone: no `.pth` file of a folder is read that another one names. So what is
installed, and compiled by Python, for all environments of the tests is so once, and a sibling is still not importable.
"""

import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path


def main(lender: Path, members: Sequence[Path]) -> None:
    """Name the libraries of the environment `lender`, and the code of `members`, to the running one."""
    libraries = Path(sysconfig.get_path("purelib", vars={"base": str(lender)}))
    if not libraries.is_dir():
        sys.exit(f"{lender} is not there: run `make dev`")
    sources = [member / "src" for member in members]
    named = "".join(f"{folder}\n" for folder in [libraries, *sources])
    Path(sysconfig.get_path("purelib"), "borrowed.pth").write_text(named, encoding="utf-8")
    for member in members:
        project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name, place in project.get("scripts", {}).items():
            _write_command(Path(sys.executable).with_name(name), place)


def _write_command(path: Path, place: str) -> None:
    """Write a command as an installer does, for an entry point such as `package.module:main`."""
    module, _, function = place.partition(":")
    code = f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\n\nsys.exit({function}())\n"
    path.write_text(code, encoding="utf-8")
    path.chmod(0o755)


if __name__ == "__main__":
    named = [each.partition("[")[0] for each in sys.argv[2:] if each != "-e"]
    main(Path(sys.argv[1]).absolute(), [Path(each).absolute() for each in named])
