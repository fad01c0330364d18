"""What callers may ask with: checked values, and their form in SQL."""

from __future__ import annotations

from datetime import date, timedelta

from orb_learning._coercion import in_nfc
from orb_learning._database import literal
from orb_learning.errors import InvalidQueryError
from orb_learning.publication import Publication

MAX_THREADS = 1_024
MAX_DAYS = 100_000
MAX_LIMIT = 1_000_000
MAX_CAP = 10**15


def first_day(publication: Publication, days: int) -> str:
    """Return the first of the last days before a publication's `as_of`, ISO 8601."""
    last = date.fromisoformat(publication.as_of[:10])
    return max(date.min, last - timedelta(days=min(days, last.toordinal() - 1))).isoformat()


def of_repo(repo: object) -> str:
    """Return the condition that a row is of a repository, or of any."""
    text = checked_text("repo", repo)
    return "true" if text is None else f"repo = {literal(text)}"


def checked_text(name: str, value: object) -> str | None:
    """Return an argument that is a text or None, in the form that names are stored in.

    Raises:
        InvalidQueryError: it is neither, or has half a character in it.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidQueryError(f"{name}: expected a text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidQueryError(f"{name}: the text has half a character in it") from None
    return in_nfc(value)


def checked_count(name: str, value: object, most: int, *, least: int = 0) -> int:
    """Return an argument that is a whole number from `least` to `most`.

    Raises:
        InvalidQueryError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidQueryError(
            f"{name}: expected a whole number from {least} to {most}, not {value!r}"
        )
    return value
