"""Times as files spell them, and how far apart two of them are."""

from __future__ import annotations

from datetime import UTC, date, datetime

from orb_learning._coercion import moment, spells_epoch


def moment_of(given: object, assume_utc: bool) -> object:
    """Return the time that a row spells; what is none stays what it is."""
    # What is no time is left for the event class to refuse; it also knows numbers since 1970. The
    # short offset of `2026-06-15 12:00:00+00`, as databases write it, it does not know.
    if isinstance(given, str) and spells_epoch(given):
        return given
    if isinstance(given, date | str) and not isinstance(given, datetime):
        try:
            given = datetime.fromisoformat(str(given))
        except ValueError:
            return given
    if assume_utc and isinstance(given, datetime) and given.tzinfo is None:
        return given.replace(tzinfo=UTC)
    return given


def seconds_between(end: object, start: object) -> float | None:
    """Return the seconds from one time to another; None if they are no times to compare."""
    try:
        last, first = (moment(moment_of(given, assume_utc=False)) for given in (end, start))
        if isinstance(last, datetime) and isinstance(first, datetime):
            return (last - first).total_seconds()
    except (TypeError, ValueError):  # no time, or only one of them has an offset
        return None
    return None
