"""The pages that a person reads: what they say, and that nothing in them can break out."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import StringIO

from google.type import money_pb2
from hypothesis import given
from hypothesis import strategies as st
from rapport.churn.v1 import churn_pb2, events_pb2, model_pb2, monitoring_pb2
from rapport.pricing.v1 import authored_pb2, experiments_pb2, quote_pb2
from rapport_local.demo.report import Report
from rapport_local.demo.story import Share, Story
from rapport_local.reports.churn import churn_page, gains
from rapport_local.reports.demo import demo_page
from rapport_local.reports.plots import Lane
from rapport_local.reports.pricing import pricing_page
from rapport_local.reports.retention import retention_page
from rapport_local.retention.outcome import Outcome, Priced
from rich.console import Console

BIN = monitoring_pb2.ReliabilityBin


class Parsed(HTMLParser):
    """What a browser would see: which elements there are, that they close, and all text."""

    void = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert all(not name.startswith("on") for name, _ in attrs)
        self.seen.append(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def model() -> model_pb2.Model:
    made = model_pb2.Model(
        model_id="mdl_0123456789", horizon_days=90, trained_rows=12_345, role=events_pb2.MODEL_ROLE_CHAMPION
    )
    made.population.bought_within_days = 365
    made.metrics.add(name="auc", value=0.803, reference=0.791)
    made.gates.add(name="calibration", passed=True, value=0.04, bound=0.06)
    return made


def report() -> monitoring_pb2.MonitoringReport:
    made = monitoring_pb2.MonitoringReport(scores=4_330, labelled=4_000)
    made.drift.add(name="orders_90d", statistic=0.31, threshold=0.04, drifted=True)
    made.drift.add(name="", statistic=0.01, threshold=0.04)
    made.calibration.error, made.calibration.noise_floor = 0.071, 0.02
    made.calibration.bins.extend(
        [BIN(predicted=0.2, observed=0.1, rows=100), BIN(predicted=0.8, observed=0.9, rows=100)]
    )
    made.groups.add(attribute="market", group="GB", rows=3_000, selected=0.2, true_positive_rate=0.6)
    made.quality.add(name="auc", estimated=0.79)
    return made


def test_it_says_in_short_what_is_wrong_and_shows_every_figure() -> None:
    page = Parsed(churn_page(model(), report(), [model_pb2.Promotion(model_id="mdl_9876543210", reason="better")]))
    for said in (
        "1 of 2 features drifted: orders_90d",
        "off by 0.071 on average; 0.020 would be chance alone",
        "It passed every gate",
        "12,345 customers",
        "0.803",
        "0.791",
        "orders_90d",
        "mdl_9876543210",
    ):
        assert said in page.text
    assert page.seen.count("svg") == 3
    assert "script" not in page.seen


def test_without_closed_windows_it_says_that_nothing_is_known_yet() -> None:
    young = monitoring_pb2.MonitoringReport(scores=10)
    failed = model()
    failed.gates.add(name="fairness", passed=False, value=0.2, bound=0.1)
    page = Parsed(churn_page(failed, young, []))
    assert "No window has closed yet" in page.text
    assert "It did not pass: fairness" in page.text
    assert "svg" not in page.seen


@given(st.text(max_size=40))
def test_whatever_names_say_stays_text(hostile: str) -> None:
    made, named = report(), hostile + "<script>alert(1)</script>\"'>&amp;"
    made.drift.add(name=named, statistic=1, threshold=2)
    made.groups.add(attribute=named, group=named, rows=1)
    page = Parsed(churn_page(model(), made, [model_pb2.Promotion(model_id="mdl_9876543210", reason=named)]))
    assert "script" not in page.seen
    assert "<script>alert(1)</script>" in page.text


def test_gains_count_leavers_from_the_highest_chance_down() -> None:
    bins = [BIN(predicted=0.1, observed=0.1, rows=100), BIN(predicted=0.9, observed=0.9, rows=100)]
    assert [(point.x, round(point.y, 9)) for point in gains(bins)] == [(0, 0), (0.5, 0.9), (1, 1)]
    assert gains([BIN(predicted=0.5, observed=0, rows=9)]) == []


def test_experiments_are_shown_with_lifts_intervals_and_how_these_narrowed() -> None:
    lift = experiments_pb2.Estimate(value=12.5, low=2.5, high=22.5)
    shown = experiments_pb2.ExperimentReport(
        experiment_id="autumn",
        version=1,
        state=authored_pb2.VERSION_STATE_ACTIVE,
        unit=authored_pb2.EXPERIMENT_UNIT_ACCOUNT,
        arms=[
            experiments_pb2.ArmFigures(name="control", share=5000, units=500, mean=100),
            experiments_pb2.ArmFigures(name="lower", share=5000, units=480, mean=112.5, lift=lift, decided=True),
            experiments_pb2.ArmFigures(name="<b>new</b>", units=1),
        ],
        looks=[experiments_pb2.Look(name="lower", units=at, lift=lift) for at in (100, 980)],
    )
    page = Parsed(pricing_page([shown]))
    for said in ("lower earns more", "<b>new</b>: too few", "+12.5 (+2.5 to +22.5)", "981 accounts so far"):
        assert said in page.text
    assert "svg" in page.seen
    assert "No experiment was drafted yet" in Parsed(pricing_page([])).text


def test_everything_that_was_told_is_on_the_page_and_what_did_not_hold_first() -> None:
    story = Story(took_s=61.0)
    told = Report(Console(file=StringIO(), width=80))
    told.story = story
    told.chapter("One <customer>")
    with told.scene("A scene"):
        told.say("A paragraph & more.")
        told.lines("rapport trace 1", ["a", "└─ b"])
        told.rows([("name", "value"), ("<b>", "1")])
        told.chart("Why", [Share("trouble", 1.5, "+1.50"), Share("season", -0.5, "-0.50")])
        told.timeline("When", [Lane("churn", "hears <it>", 0.0, 3.0)])
        told.expect(True, "it holds")
        told.expect(False, "it is <broken>")
    told.figure("people", "3", "of <four>")
    page = demo_page(story, [("rapport up", "to play with")])
    parsed = Parsed(page)
    for said in ("1 of 2 checks held", "Did not hold: it is <broken>", "A paragraph & more.", "└─ b", "hears <it>"):
        assert said in parsed.text
    assert parsed.text.index("Did not hold") < parsed.text.index("A paragraph")
    assert "script" not in parsed.seen
    assert parsed.seen.count("svg") == 2
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r' id="([^"]+)"', page))


def test_the_page_of_a_retention_says_what_became_of_everybody_and_why() -> None:
    horizon = events_pb2.Horizon(days=60, probability=0.81)
    ranked = [
        churn_pb2.RankedProfile(
            profile_id="prf_0123456789", churn=horizon, risk=events_pb2.RISK_LEVEL_HIGH, reason="service_trouble"
        ),
        churn_pb2.RankedProfile(profile_id="prf_9876543210", churn=horizon),
    ]
    line = quote_pb2.QuotedLine()
    pounds = money_pb2.Money(currency_code="GBP", units=-5, nanos=-240_000_000)
    line.components.add(kind=quote_pb2.COMPONENT_KIND_PERSONAL, amount=pounds, held_by_rule="cost.margin")
    quote = quote_pb2.Quote(profile_id="prf_0123456789", lines=[line])
    became = Outcome(
        ranked,
        Counter({"open": 1}),
        Counter({("sent", "permitted"): 1, ("dropped", "not permitted"): 2}),
        [Priced(quote, money_pb2.Money(currency_code="GBP", units=89))],
    )
    page = Parsed(retention_page("<shop>", model(), became, datetime(2026, 11, 22, tzinfo=UTC)))
    for said in (
        "Retention: <shop>",
        "0.803",
        "service trouble",
        "-5.24 GBP, held by cost.margin",
        "not permitted",
        "81%",
    ):
        assert said in page.text
    assert "script" not in page.seen
