"""What a serving process imports: what serves, and nothing that trains."""

from __future__ import annotations

import json
import subprocess
import sys

# Two seconds of processor time and a hundred megabytes lie between the two.
TRAINS = {"sklearn", "scipy", "duckdb", "pandas", "pyarrow"}
MOST_MEGABYTES = 220


def test_who_serves_imports_no_library_of_training_and_stays_small() -> None:
    program = (
        "import json, sys; import rapport_churn.bootstrap, rapport_churn.adapters.scorers;"
        "held = next(line for line in open('/proc/self/status') if line.startswith('VmRSS'));"
        "print(json.dumps([sorted(sys.modules), int(held.split()[1])]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    modules, kilobytes = json.loads(done.stdout)
    assert not {name.partition(".")[0] for name in modules} & (TRAINS | {"lightgbm"})
    assert not [name for name in modules if name.startswith("rapport_churn.training")]
    assert kilobytes < MOST_MEGABYTES * 1024
