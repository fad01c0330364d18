"""Times as files spell them, and how far apart two of them are."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from orb_learning._coercion import moment, spells_epoch
from orb_learning.errors import ImportFileError

_DAY_FIRST = re.compile(
    r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})(?:[ T,]+([0-9]{1,2}):([0-9]{2})(.*))?"
)
"""Between dots the day stands first, as in `20.11.2026 14:05`; between slashes nobody knows."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How files spell times.

    Attributes:
        zone: of times without an offset; None leaves them without.
        form: how they are written, as `strptime` takes it; None for ISO 8601, day-first dates with
            dots, and numbers since 1970.
    """

    zone: tzinfo | None = None
    form: str | None = None

    def read(self, given: object) -> object:
        """Return the time that a row spells; what is none stays what it is."""
        # What is no time is left for the event class to refuse; it also knows numbers since 1970.
        # The short offset of `2026-06-15 12:00:00+00`, as databases write it, it does not know.
        if isinstance(given, str) and self.form:
            with suppress(ValueError):
                given = datetime.strptime(given.strip(), self.form)
        if isinstance(given, str) and spells_epoch(given):
            return given
        if isinstance(given, date | str) and not isinstance(given, datetime):
            try:
                given = datetime.fromisoformat(_year_first(str(given)))
            except ValueError:
                return given
        if self.zone and isinstance(given, datetime) and given.tzinfo is None:
            # In UTC, for of two times in one zone Python subtracts what their clocks showed.
            with suppress(OverflowError):  # near the first or last day that there is
                return given.replace(tzinfo=self.zone).astimezone(UTC)
        return given

    def seconds_between(self, end: object, start: object) -> float | None:
        """Return the seconds from one time to another; None if they are no times to compare."""
        try:
            last, first = (moment(self.read(given)) for given in (end, start))
            if isinstance(last, datetime) and isinstance(first, datetime):
                return (last - first).total_seconds()
        except (TypeError, ValueError):  # no time, or only one of them has an offset
            return None
        return None


USUAL = Clock()
"""Reads times as most files spell them."""


def zone_named(name: str) -> tzinfo:
    """Return a time zone by its name, such as `Europe/Berlin`.

    Raises:
        ImportFileError: this machine knows none of that name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as error:
        raise ImportFileError(
            f"no time zone {name!r} is known here; say one such as Europe/Berlin or UTC"
        ) from error


def _year_first(text: str) -> str:
    found = _DAY_FIRST.fullmatch(text.strip())
    if not found:
        return text
    day, month, year, hour, minute, rest = found.groups()
    time = f"T{int(hour):02}:{minute}{rest.replace(' ', '')}" if hour else ""
    return f"{year}-{int(month):02}-{int(day):02}{time}"
