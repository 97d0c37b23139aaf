"""rapport ingest: files of all three kinds taken in by running services."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rapport_local.ingest.journal import Journal
from suite import Suite

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "deploy/local/mappings"
RETAIL = ROOT.parent / "shared/data/churn"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The worked example of the documentation, under keys that nobody has used before."""
    mark = str(random.SystemRandom().randrange(10_000, 100_000))
    renamed = {
        "mapping.yaml": ("name: example", f"name: example-{mark}"),
        "customers.csv": ("C-", f"C-{mark}"),
        "decisions.csv": ("C-", f"C-{mark}"),
        "orders.jsonl": ("C-", f"C-{mark}"),
    }
    for file, (old, new) in renamed.items():
        text = (MAPPINGS / "example" / file).read_text(encoding="utf-8")
        text = text.replace(old, new).replace('"order": ', f'"order": {mark}')
        (tmp_path / file).write_text(re.sub(r"^(?=[0-9],)", mark, text, flags=re.MULTILINE), encoding="utf-8")
    return tmp_path


def test_import_goes_on_after_a_fault_and_takes_nothing_in_twice(
    running: Suite, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("ingest", str(shop / "mapping.yaml"), "--with-purposes", "--json")
    running.run("login", "officer-1", "--role", "officer")
    settle = Journal.settle

    def disk_full(journal: Journal, stage: str, *given: Any, **more: Any) -> None:
        if stage.startswith("transactions"):
            raise OSError("disk full")  # the answer has come, and is lost with this process
        settle(journal, stage, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "settle", disk_full)
        with pytest.raises(OSError, match="disk full"):
            running.run(*arguments)
    done = running.run(*arguments)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    customers, decisions, declared, orders = document["stages"].values()
    # Whoever ran the example as the documentation shows it has brought in the same people.
    assert customers["rejected"] == 1
    assert customers.get("created", 0) + customers.get("joined", 0) == 5
    assert decisions == {"imported": 2, "rejected": 1}
    assert declared == {"declared": 5}
    assert orders == {"known": 3, "rejected": 1}
    with Path(document["report"]).open(encoding="utf-8", newline="") as file:
        rejected = [*csv.DictReader(file)]
    assert len(rejected) == document["rejected"] == 3
    assert {each["field"] for each in rejected} == {
        "key.source_record_id",
        "profile_id",
        "touchpoint.lines[0].unit_price",
    }
    assert json.loads(running.run(*arguments).stdout)["stages"] == document["stages"]
    refused = running.run("ingest", str(shop / "mapping.yaml"), "--rows", "2")
    assert refused.exit_code == 1
    assert "--restart" in refused.stderr


@pytest.fixture
def retail(tmp_path: Path) -> Path:
    """A folder with some customers of the public data set, and all that they ordered."""
    if not RETAIL.is_dir():
        pytest.skip("the data set is not beside the checkout: the mapping says where it is")
    name = "online_retail_ii_to_2011-06-09.parquet"
    with duckdb.connect() as connection:
        chosen = f"SELECT * FROM '{RETAIL / name}' WHERE CAST(cid AS BIGINT) % 53 = 0"
        connection.execute(f"COPY ({chosen}) TO '{tmp_path / name}' (FORMAT parquet)")
    return tmp_path


@pytest.mark.timeout(240)
def test_public_data_set_goes_from_files_to_customers_who_are_scored_priced_and_written_to(
    running: Suite, retail: Path
) -> None:
    mapping = str(MAPPINGS / "online_retail.yaml")
    sample = ("--data", str(retail))
    reports = json.loads(running.run("ingest", mapping, *sample, "--json", "--dry-run").stdout)
    assert not [report["problems"] for report in reports if report["problems"]]
    running.run("login", "admin-1", "--role", "administrator")
    done = running.run("ingest", mapping, *sample, "--json", "--with-purposes", "--as-if-now")
    assert done.exit_code == 0, done.output
    customers, declared, orders, returns = json.loads(done.stdout)["stages"].values()
    assert [customers["created"], orders["recorded"], returns["recorded"]] == [each["items"] for each in reports]
    assert declared["declared"] > 2.5 * customers["created"]
    page = retail / "page.html"
    kept = running.run("retain", mapping, *sample, "--despite-gates", "--within", "60", "--out", str(page))
    assert kept.exit_code == 0, kept.output
    lines = [line.strip().partition("  ") for line in kept.stdout.splitlines()[:-1]]
    counts = {words: int(count.replace(",", "")) for count, _, words in lines}
    assert 0 < counts["at risk"] <= counts["scored"]
    assert sum(count for words, count in counts.items() if words.startswith("offer")) == counts["at risk"]
    assert "How good the model is, on times it has not seen" in page.read_text(encoding="utf-8")
