"""What a scheduler's turn tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orb_learning._database import connect
from orb_learning.errors import OrbLearningError
from orb_learning.home import Home
from orb_learning.publication import current

if TYPE_CHECKING:
    from orb_learning.publication import Publication


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did; one that failed is in the log instead.

    Attributes:
        began_at: when it began, UTC.
        load_id: the newest load that the publication holds; None if there was nothing new.
        events: events of the loads that the publication before did not hold; None if that is not
            known.
        seconds: how long it took.
        next_in_seconds: from its end to the beginning of the next one.
    """

    began_at: datetime
    load_id: int | None
    events: int | None
    seconds: float
    next_in_seconds: float


OnTurn = Callable[[Turn], None]


def last_load(home: Home) -> int:
    """Return the newest load that is published; 0 if no publication tells."""
    try:
        return current(home).load_id
    except OrbLearningError:
        return 0


def events_since(home: Home, load_id: int, publication: Publication) -> int | None:
    """Return how many events came with the loads of a publication after one; None if unknown."""
    import duckdb

    try:
        with connect(home.staging, read_only=True) as connection:
            ((events,),) = connection.execute(
                "select cast(coalesce(sum(loaded), 0) as bigint) from ledger.loads"
                " where load_id > ? and load_id <= ?",
                [load_id, publication.load_id],
            ).fetchall()
            return int(events)
    except (OrbLearningError, duckdb.Error):  # a line less is no reason to fail a turn
        return None
