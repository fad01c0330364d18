"""The report: what the current publication says, and no other."""

from __future__ import annotations

import pytest

from orb_learning.errors import HomeError, NotPublishedError, ProjectError
from orb_learning.serving import MARTS, _report, build_report
from orb_learning.serving._report import Summary
from publishing import (
    AS_OF,
    PATTERNS,
    POOLS,
    TIERS,
    TREND,
    publish_marts,
)


def test_a_report_sums_up_what_happened(home):
    made = publish_marts(home)
    found = build_report(home)
    assert found.publication == made
    assert found.summary == Summary(
        executions=3,
        tasks=2,
        pending=1,
        success_rate=pytest.approx(2 / 3),
        known_cost=1.75,
        unknown_costs=1,
    )


def test_what_nobody_knows_is_none_and_not_zero(home):
    publish_marts(home, [(False, 0.0, "unknown")])
    assert build_report(home).summary.known_cost is None

    publish_marts(home, empty=True)
    found = build_report(home)
    assert found.summary == Summary(0, 0, 0, None, None, 0)
    assert [(mart.rows, mart.total) for mart in found.marts] == [([], 0)] * 4


def test_each_mart_shows_its_public_columns_with_the_most_telling_rows_first(home):
    publish_marts(home)
    tiers, pools, trend, patterns = found = build_report(home).marts
    assert [mart.columns for mart in found] == [mart.columns for mart in MARTS.values()]
    assert tiers.rows == [TIERS[1], TIERS[3], TIERS[2], TIERS[0]]
    assert pools.rows == POOLS[::-1]
    assert trend.rows == TREND[::-1]
    assert patterns.rows == PATTERNS[::-1]


def test_a_report_may_be_of_some_marts_and_some_rows(home):
    publish_marts(home)
    found = build_report(home, marts=("pool_performance", "tier_performance"), limit=1)
    assert [(mart.name, mart.rows, mart.total) for mart in found.marts] == [
        ("pool_performance", POOLS[1:], 2),
        ("tier_performance", [TIERS[1]], 4),
    ]


@pytest.mark.parametrize(
    "as_of", ["2026-03-01", "2026-03-01T23:59:59+00:00", "2026-02-28T23:30-05:00", "20260301"]
)
def test_a_report_may_insist_on_the_day_that_is_published(home, as_of):
    publish_marts(home)
    assert build_report(home, as_of=as_of).publication.as_of == AS_OF


def test_a_report_of_another_day_says_how_to_get_it(home):
    publish_marts(home)
    with pytest.raises(NotPublishedError) as caught:
        build_report(home, as_of="2026-02-28T12:00")
    assert str(caught.value) == (
        "the published marts end at 2026-03-01, not 2026-02-28; to see that day without replacing "
        "them run: orb-learning refresh --as-of 2026-02-28 --into DIR, and then: "
        "orb-learning --home DIR report"
    )


@pytest.mark.parametrize("as_of", ["tomorrow", "2026-03-01 or so", "2199-01-01"])
def test_a_report_of_no_day_or_one_far_ahead_is_refused(home, as_of):
    publish_marts(home)
    with pytest.raises(ProjectError, match=r"as_of must be .*, not "):
        build_report(home, as_of=as_of)


def test_there_is_no_report_before_a_publication(home):
    with pytest.raises(NotPublishedError, match="nothing is published in"):
        build_report(home)


def test_a_report_reads_one_publication_even_if_another_follows_meanwhile(home, monkeypatch):
    first = publish_marts(home)
    publish_marts(home, empty=True)
    monkeypatch.setattr(_report, "current", lambda _: first)
    assert build_report(home).summary.executions == 3


def test_a_publication_that_is_damaged_is_one_line(home):
    made = publish_marts(home)
    database = home.published / made.id / "learning.db"
    database.chmod(0o600)
    database.write_text("not a database, for longer than a header is" * 99)
    with pytest.raises(HomeError) as caught:
        build_report(home)
    assert str(caught.value).startswith(f"{database} is not a DuckDB database")
