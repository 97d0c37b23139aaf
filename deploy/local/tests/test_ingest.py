"""rapport ingest: what a mapping makes of rows, and files of all three kinds taken in by running services."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from rapport.identity.v1 import touchpoint_pb2
from rapport_local.failure import Failure
from rapport_local.ingest.cells import Fault, masked, money, own_id
from rapport_local.ingest.mapping import Mapping, Transactions, read_mapping
from rapport_local.ingest.orders import touchpoint_of
from rapport_local.ingest.reading import Source, grouped
from rapport_local.ingest.tables import Files, Tables
from rapport_local.retention.offering import Sold, best_sellers

ROOT = Path(__file__).resolve().parents[3]
MAPPINGS = ROOT / "deploy/local/mappings"
RETAIL = ROOT.parent / "shared/data/churn"
UTC = ZoneInfo("UTC")

ORDERS = Transactions.model_validate(
    {
        "name": "orders",
        "as": "order_placed",
        "file": "orders.csv",
        "source": "webshop",
        "order": "number",
        "identifiers": [{"kind": "email", "column": "mail"}],
        "occurred_at": {"column": "when", "format": "%d.%m.%Y %H:%M"},
        "channel": {"column": "where", "values": {"I": "web", "L": "store"}},
        "purposes": ["order.delivery"],
        "product": "article",
        "quantity": "pieces",
        "unit_price": "price",
        "currency": {"value": "EUR"},
    }
)
LINE = {"number": "7", "mail": "a@b.example", "when": "03.02.2024 23:30", "where": "L", "article": "A 1", "pieces": "3"}


def test_lines_of_an_order_become_one_touchpoint_with_its_sum() -> None:
    rows = [{**LINE, "price": "0.10"}, {**LINE, "when": "03.02.2024 23:10", "article": "prd00001", "price": "19.9"}]
    raw = touchpoint_of("mine", ORDERS, rows, ZoneInfo("Europe/Berlin"))
    placed = raw.touchpoint.order_placed
    assert (raw.source_event_id, raw.identifiers[0].value) == ("mine/orders/7", "a@b.example")
    assert raw.touchpoint.channel == touchpoint_pb2.CHANNEL_STORE
    assert raw.touchpoint.occurred_at.ToJsonString() == "2024-02-03T22:10:00Z"
    assert (placed.total.units, placed.total.nanos) == (60, 0)
    assert [line.item.product_id for line in placed.lines] == [own_id("prd", "mine", "A 1"), "prd_prd00001"]
    assert own_id("prd", "mine", "A 1") != own_id("prd", "yours", "A 1")


@pytest.mark.parametrize(
    ("changed", "path", "reason"),
    [
        ({"price": "1,50"}, "touchpoint.lines[0].unit_price", "is no number"),
        ({"pieces": "2.5"}, "touchpoint.lines[0].quantity", "is no whole number"),
        ({"pieces": "-1"}, "touchpoint.lines[0].quantity", "is negative"),
        ({"when": "2024-02-03"}, "touchpoint.occurred_at", "is no time as %d.%m.%Y %H:%M has it"),
        ({"where": "X"}, "touchpoint.channel", "is none of the values that the mapping names"),
        ({"number": " "}, "touchpoint.order_id", "is empty"),
        ({"mail": ""}, "identifiers", "are all empty"),
    ],
)
def test_fault_names_the_field_and_never_the_value(changed: dict[str, str], path: str, reason: str) -> None:
    with pytest.raises(Fault) as caught:
        touchpoint_of("mine", ORDERS, [{**LINE, "price": "1", **changed}], UTC)
    assert (caught.value.path, caught.value.reason) == (path, reason)


@given(st.decimals("-1e9", "1e9", places=9))
def test_money_keeps_every_digit_and_one_sign(amount: Decimal) -> None:
    sent = money(amount, "EUR")
    assert Decimal(sent.units) + Decimal(sent.nanos).scaleb(-9) == amount
    assert sent.units * sent.nanos >= 0


@given(st.text())
def test_masked_value_keeps_no_letter_or_digit_of_its_own(value: str) -> None:
    assert not [each for each in masked(value) if each.isalnum() and each not in "x9"]


def test_all_three_formats_say_the_same_and_broken_lines_are_numbered(tmp_path: Path) -> None:
    rows = [{"id": "007", "n": "1.50", "name": "Ada, L"}, {"id": "8", "n": "2", "name": ""}]
    (tmp_path / "a.csv").write_text('id;n;name\n007;1.50;"Ada, L"\n8;2;\n9;3\n', encoding="utf-8-sig")
    lines = [json.dumps({**row, "n": 0}).replace(" 0,", f" {row['n']},") for row in rows]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "[1]"]), encoding="utf-8")
    path = str(tmp_path / "a.parquet")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (id VARCHAR, n DECIMAL(9, 2), name VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(row["id"], row["n"], row["name"]) for row in rows])
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    from_csv, from_lines, from_parquet = (
        [*Source(tmp_path / f"a.{kind}").rows()] for kind in ("csv", "jsonl", "parquet")
    )
    assert [each.row for each in from_csv[:2]] == [each.row for each in from_lines[:2]] == rows
    assert [Decimal(each.row["n"] or "") for each in from_parquet] == [Decimal("1.50"), Decimal(2)]
    for last, number in ((from_csv[2], 4), (from_lines[2], 3)):
        assert last.number == number
        assert last.fault is not None


def test_rows_of_one_order_come_together_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("order,x\nb,1\na,2\nb,3\na,4\n", encoding="utf-8")
    groups = [[each.row["x"] for each in group] for group in grouped(Source(tmp_path / "a.csv").rows(), "order")]
    assert groups == [["1", "3"], ["2", "4"]]


def test_mapping_that_does_not_fit_names_each_place(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(
        "name: x\ncustomers: [{file: a.csv, source: crm, key: id, person: {shoe_size: s}}]\n", encoding="utf-8"
    )
    with pytest.raises(Failure) as caught:
        read_mapping(path)
    assert "customers.0.identifiers: Field required" in caught.value.details
    assert "shoe_size" in caught.value.details


def test_data_of_the_past_are_moved_to_yesterday_and_addresses_are_made_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "number,mail,when,where,article,pieces,price\n7,17,09.06.2011 12:00,I,A 1,1,2\n", encoding="utf-8"
    )
    identifiers = [{"kind": "email", "column": "mail", "pattern": "c{}@shop.example"}]
    table = ORDERS.model_dump(by_alias=True) | {"identifiers": identifiers}
    past = Mapping.model_validate({"name": "mine", "ends": "2011-06-09", "transactions": [table]})
    (item,) = Tables(past.as_if_now(date(2026, 11, 22)), Files(tmp_path)).transactions("orders", past.transactions[0])
    assert item.message is not None
    assert item.message.touchpoint.occurred_at.ToJsonString() == "2026-11-21T12:00:00Z"
    assert item.message.identifiers[0].value == "c17@shop.example"
    with pytest.raises(Failure, match="does not say when its data end"):
        Mapping(name="mine").as_if_now(date(2026, 11, 22))


def test_a_share_takes_whole_customers_and_always_the_same_ones(tmp_path: Path) -> None:
    rows = [f"{at},{at % 100},03.02.2024 23:30,I,A 1,1,2" for at in range(1000)]
    (tmp_path / "orders.csv").write_text("\n".join(["number,mail,when,where,article,pieces,price", *rows]), "utf-8")

    def chosen(share: float) -> list[str | None]:
        return [each.row["mail"] for each in Files(tmp_path, share=share).belonging("orders", ORDERS)]

    some, more = chosen(0.2), chosen(0.5)
    assert 5 < len(set(some)) < 40
    assert len(some) == 10 * len(set(some))
    assert set(some) < set(more)
    assert some == chosen(0.2)


def test_what_was_sold_for_most_gets_the_price_that_was_paid_most_often(tmp_path: Path) -> None:
    rows = ["1,a,03.02.2024 23:30,I,cup,9,1", "2,a,03.02.2024 23:30,I,pot,1,50", "3,a,03.02.2024 23:30,I,pot,1,40"]
    rows += ["4,a,03.02.2024 23:30,I,pot,1,40", "5,a,03.02.2024 23:30,I,pan,1,what"]
    (tmp_path / "orders.csv").write_text("\n".join(["number,mail,when,where,article,pieces,price", *rows]), "utf-8")
    sold = best_sellers(Mapping(name="mine", transactions=(ORDERS,)), Files(tmp_path), 5)
    assert sold == [
        Sold(own_id("prd", "mine", "pot"), Decimal(130), Decimal(40)),
        Sold(own_id("prd", "mine", "cup"), Decimal(9), Decimal(1)),
    ]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The worked example of the documentation, with files of its own."""
    name = f"t{tmp_path.name[-8:].lower().replace('_', '-')}"
    mapping = (MAPPINGS / "example/mapping.yaml").read_text(encoding="utf-8").replace("name: example", f"name: {name}x")
    (tmp_path / "mapping.yaml").write_text(mapping, encoding="utf-8")
    for file in ("customers.csv", "orders.jsonl", "decisions.csv"):
        text = (MAPPINGS / "example" / file).read_text(encoding="utf-8")
        (tmp_path / file).write_text(text, encoding="utf-8")
    return tmp_path


def test_dry_run_shows_columns_masked_and_problems_without_an_environment(
    shop: Path, rapport: Callable[..., Result]
) -> None:
    shown = rapport("ingest", str(shop / "mapping.yaml"), "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "Nothing was sent" in shown.output
    assert "1 rejected: key.source_record_id: came before in this file (row 7)" in shown.output
    assert "Lovelace" not in shown.output
    reports = json.loads(rapport("ingest", str(shop / "mapping.yaml"), "--dry-run", "--json").output)
    customers, decisions, orders = reports
    assert (customers["rows"], customers["items"], orders["rows"], orders["items"]) == (6, 5, 6, 3)
    assert customers["unused"] == ["shoe size"]
    assert [(each["field"], each["rows"]) for each in orders["problems"]] == [("touchpoint.lines[0].unit_price", [6])]
    assert decisions["problems"] == []
