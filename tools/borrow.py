"""Lets the environment that runs this use the libraries of another one, which holds all of the lock.

Members installed there stay unknown: no `.pth` file of a folder is read that another one names. So what is installed,
and compiled by Python, for all environments of the tests is so once, and a sibling is still not importable.
"""

import sys
import sysconfig
from pathlib import Path


def main(lender: Path) -> None:
    """Name the libraries of the environment `lender` to the running one."""
    libraries = Path(sysconfig.get_path("purelib", vars={"base": str(lender)}))
    if not libraries.is_dir():
        sys.exit(f"{lender} is not there: run `make dev`")
    Path(sysconfig.get_path("purelib"), "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
