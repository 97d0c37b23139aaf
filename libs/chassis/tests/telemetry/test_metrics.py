from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry import conventions
from rapport_chassis.telemetry.metrics import SERIES_LIMIT, HistogramSeries, Meter, Sample
from rapport_chassis.telemetry.metrics_export import MetricsExport, SnapshotFile, read_snapshots
from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName, HistogramName, declared_in, names_table
from rapport_chassis.telemetry.red import RedMetrics
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.waiting import eventually_sync

ANSWER = Attribute("answer", "What was answered.")
CHECKS = CounterName("checks", "{check}", "Checks answered.", (ANSWER,))
LAG = GaugeName("lag", "s", "Age of the oldest row.")
TOOK = HistogramName("took", "s", "Time it took.", bounds=(1.0, 2.0))


def test_counts_add_up_by_attribute() -> None:
    meter = Meter()
    for answer in ("deny", "permit", "deny"):
        meter.counter(CHECKS).of(answer).add()
    meter.gauge(LAG).of()
    values = {sample.attributes["answer"]: sample.series for sample in meter.samples()}
    assert {answer: getattr(series, "value", None) for answer, series in values.items()} == {"deny": 2, "permit": 1}


@given(st.lists(st.floats(0, 4)), st.floats(0.01, 1))
def test_a_distribution_counts_each_measurement_once_and_bounds_its_quantiles(
    values: list[float], share: float
) -> None:
    series = HistogramSeries((1.0, 2.0))
    for value in values:
        series.record(value)
    assert series.counts == [
        sum(value <= 1 for value in values),
        sum(1 < value <= 2 for value in values),
        sum(value > 2 for value in values),
    ]
    assert series.total == pytest.approx(sum(values))
    quantile = series.quantile(share)
    if not values:
        assert quantile is None
    else:
        assert quantile is not None
        assert sum(value <= quantile for value in values) >= share * len(values) - 1e-9
        assert quantile <= max(values)


def test_a_name_declared_twice_in_different_ways_is_refused() -> None:
    meter = Meter()
    assert meter.counter(CHECKS) is meter.counter(CHECKS)
    with pytest.raises(ValueError, match="checks"):
        meter.gauge(GaugeName("checks", "1", "Something else."))
    with pytest.raises(ValueError, match="declares 1 attributes"):
        meter.counter(CHECKS).of()


def test_too_many_attribute_values_are_added_up_in_one_series() -> None:
    meter = Meter()
    for number in range(SERIES_LIMIT + 50):
        meter.counter(CHECKS).of(str(number)).add()
    samples = list(meter.samples())
    assert len(samples) == SERIES_LIMIT + 1
    assert samples[-1].attributes == {"otel.metric.overflow": True}
    assert getattr(samples[-1].series, "value", None) == 50


def test_rates_errors_and_durations_are_kept_by_method_and_consumer() -> None:
    meter = Meter()
    red = RedMetrics(meter)
    call = red.server("a.v1.A/B")
    call.done(0.002)
    call.done(0.5, "UNAVAILABLE", "NOT_READY")
    red.client("a.v1.A/B").done(0.003)
    consumer = red.consumer("sample-worker")
    consumer.delivered("RAPPORT_X thing_done", 2)
    consumer.done("RAPPORT_X thing_done", 0.01)
    red.publisher().done("RAPPORT_X thing_done", 0.01)
    found = {(sample.name.name, *sample.attributes.values()) for sample in meter.samples()}
    assert found == {
        ("rpc.server.call.duration", "a.v1.A/B", "OK", ""),
        ("rpc.server.call.duration", "a.v1.A/B", "UNAVAILABLE", "NOT_READY"),
        ("rpc.client.call.duration", "a.v1.A/B", "OK", ""),
        ("messaging.client.consumed.messages", "sample-worker", "RAPPORT_X thing_done"),
        ("messaging.process.duration", "sample-worker", "RAPPORT_X thing_done", ""),
        ("messaging.client.operation.duration", "RAPPORT_X thing_done", ""),
        ("messaging.client.sent.messages", "RAPPORT_X thing_done", ""),
    }


def test_a_snapshot_of_all_metrics_is_kept_in_a_file_while_the_process_runs(tmp_path: Path) -> None:
    meter = Meter()
    meter.counter(CHECKS).of("deny").add(3)
    meter.histogram(TOOK).of().record(1.5)
    export = MetricsExport(SnapshotFile(tmp_path / "sample", "sample"), meter, interval_s=0.01)
    export.start()
    (snapshot,) = eventually_sync(lambda: read_snapshots([tmp_path]))
    assert snapshot["service"] == "sample"
    assert all(row.pop("per_s") >= 0 for row in snapshot["metrics"])
    assert snapshot["metrics"] == [
        {"name": "checks", "unit": "{check}", "attributes": {"answer": "deny"}, "value": 3},
        {"name": "took", "unit": "s", "attributes": {}, "count": 1, "sum": 1.5, "max": 1.5, "p50": 1.5, "p99": 1.5},
    ]
    meter.counter(CHECKS).of("deny").add()
    eventually_sync(lambda: read_snapshots([tmp_path])[0]["metrics"][0]["value"] == 4)
    export.stop()
    assert read_snapshots([tmp_path]) == []


def test_a_snapshot_says_how_much_came_in_since_the_one_before(tmp_path: Path) -> None:
    meter, file = Meter(), SnapshotFile(tmp_path, "sample")

    def rates() -> list[float]:
        file.write(meter.samples())
        return [row["per_s"] for row in read_snapshots([tmp_path])[0]["metrics"]]

    meter.counter(CHECKS).of("deny").add(5)
    meter.histogram(TOOK).of().record(1.5)
    checks, took = rates()
    assert checks == pytest.approx(5 * took)
    assert took > 0
    assert rates() == [0, 0]


def test_started_telemetry_exports_its_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Sample] = []
    monkeypatch.setattr(SnapshotFile, "write", lambda _self, samples: written.extend(samples))
    telemetry = Telemetry.start(TelemetrySettings(folder=tmp_path), service="sample", version="1", environment="test")
    telemetry.meter.counter(CHECKS).of("deny").add()
    telemetry.shutdown()
    assert CHECKS in [sample.name for sample in written]


def test_the_names_of_a_module_are_rendered_as_a_table() -> None:
    names = declared_in(conventions)
    assert {name.name for name in names} >= {"{method}", "rpc.server.call.duration", "messaging.process.duration"}
    lines = names_table([CHECKS]).splitlines()
    assert lines[2] == "| `checks` | counter | {check} | `answer` | Checks answered. |"
    assert json.dumps({ANSWER: 1}) == '{"answer": 1}'


def test_the_reference_holds_every_name_the_chassis_declares() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert names_table(declared_in(conventions)) in readme.read_text(encoding="utf-8")
