"""Which moment a text names, and which publication an earlier day may not replace."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from orb_learning.errors import ProjectError
from orb_learning.publication import _as_of as as_of_module
from orb_learning.publication import later_day_published, moment_of
from publishing import fill, publish, warehouse_of

NOW = datetime(2026, 6, 15, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(as_of_module, "utc_now", lambda: NOW)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-06-15", "2026-06-15"),
        ("20260615", "2026-06-15"),
        ("2026-06-14T23:00:00-05:00", "2026-06-15"),
        ("2026-06-16", "2026-06-16"),
        ("2026-06-16T18:00:00Z", "2026-06-16"),
        ("1970-01-01", "1970-01-01"),
    ],
)
def test_a_moment_is_taken_up_to_a_day_ahead(text, day):
    assert moment_of(text).date().isoformat() == day


@pytest.mark.parametrize("text", ["2026-06-16T18:00:01Z", "2026-06-17", "2199-12-31"])
def test_one_further_ahead_is_refused(text):
    with pytest.raises(ProjectError) as caught:
        moment_of(text)
    assert str(caught.value) == (
        f"as_of must be no more than a day ahead of now, 2026-06-15T18:00:00 UTC, not {text!r}"
    )


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-02-30", "1969-12-31", "2200-01-01"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ProjectError, match="as_of must be a date or a time between 1970 and 2200"):
        moment_of(text)


@pytest.mark.parametrize(
    ("published", "given", "kept"),
    [
        ("2026-06-15T18:00:00", "2026-06-14", True),
        ("2026-06-15T18:00:00", "2026-06-15", False),
        ("2026-06-01", "2026-05-31", True),
        ("2026-06-01", "2026-06-02", False),
        ("2026-06-16T00:00:00", "2026-06-14", False),
        ("2031-01-01T00:00:00", "2026-06-15", False),
        ("some day", "2026-06-14", False),
    ],
)
def test_a_day_may_not_replace_a_later_one_unless_that_is_to_come(home, published, given, kept):
    with warehouse_of(home) as warehouse:
        fill(warehouse, 1)
        publish(warehouse, home, as_of=published)
    found = later_day_published(home, date.fromisoformat(given))
    assert found == (date.fromisoformat(published[:10]) if kept else None)


def test_nothing_is_kept_where_nothing_is_published(home):
    assert later_day_published(home, date(2026, 6, 14)) is None
