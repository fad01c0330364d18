"""The moment that the marts' windows end, where somebody names it instead of now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from orb_learning._types import to_utc, utc_now
from orb_learning.errors import NotPublishedError, ProjectError
from orb_learning.home import Home
from orb_learning.publication._manifest import current

MOST_AHEAD = timedelta(days=1)
"""How far ahead of now a moment may lie: anywhere on earth it is at most a day later."""


def moment_of(as_of: str) -> datetime:
    """Return a moment that somebody named, in UTC.

    Args:
        as_of: an ISO 8601 date or time, UTC unless it says otherwise.

    Raises:
        ProjectError: it is no time, or more than a day ahead.
    """
    try:
        given = datetime.fromisoformat(as_of)
        moment = to_utc(given if given.tzinfo else given.replace(tzinfo=UTC))
    except ValueError as error:
        raise ProjectError(
            "as_of must be a date or a time between 1970 and 2200, like 2026-06-15 or "
            f"2026-06-15T12:00:00, not {as_of!r}"
        ) from error
    now = utc_now()
    if moment > now + MOST_AHEAD:
        raise ProjectError(
            f"as_of must be no more than a day ahead of now, {now:%Y-%m-%dT%H:%M:%S} UTC, "
            f"not {as_of!r}"
        )
    return moment


def later_day_published(home: Home, day: date) -> date | None:
    """Return the day of the publication in force if readers would lose it to an earlier one.

    A publication that is dated after today is not worth keeping: its clock was wrong.
    """
    try:
        published = date.fromisoformat(current(home).as_of[:10])
    except (NotPublishedError, ValueError):
        return None
    return published if day < published <= utc_now().date() else None
