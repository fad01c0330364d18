"""The floor: the first day whose executions are kept, as `ledger.retention` has it."""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING

from orb_learning._types import utc_now
from orb_learning.errors import HomeError
from orb_learning.events import TASK_EVENT_TYPES
from orb_learning.home import Home
from orb_learning.staging._file import open_staging
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger("orb_learning.staging")


def floor_of(connection: duckdb.DuckDBPyConnection) -> date | None:
    """Return the first day of executions that is kept, if older ones were ever given up."""
    rows: list[tuple[date | None]] = connection.execute(
        "select max(executions_from) from ledger.retention"
    ).fetchall()
    return rows[0][0]


def raise_floor(connection: duckdb.DuckDBPyConnection, today: date, first_day: date) -> date | None:
    """Note the first day of executions to keep, unless it is not later than the one noted."""
    floor = floor_of(connection)
    if floor is not None and floor >= first_day:
        return None
    _note(connection, today, first_day)
    return first_day


def lower_floor(home: Home, first_day: date) -> None:
    """Show executions from an earlier day on again, as far as staging still holds their events.

    The next whole refresh builds everything anew. The next prune may raise the floor again.

    Args:
        home: whose floor.
        first_day: the first day to show.

    Raises:
        HomeError: there is no floor, or it is not later than that.
        BusyError: another process is at work.
    """
    with open_staging(home) as connection:
        floor = floor_of(connection)
        if floor is None or floor <= first_day:
            raise HomeError(
                f"executions are kept from {floor or 'the first'} on: a floor is only lowered"
            )
        _note(connection, first_day, first_day)
        _forget_above(connection, home, first_day)


def lift_future_floor(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Forget a floor that neither the clock nor the newest load has reached: no data can be old.

    It was set under a wrong clock, and would hide whatever comes until its day.
    """
    today = max(utc_now().date(), newest_load(connection) or date.min)
    floor = floor_of(connection)
    if floor is not None and floor > today:
        _forget_above(connection, home, today)
        logger.warning(
            "executions were kept only from %s on, which is yet to come: taken back", floor
        )


def newest_load(connection: duckdb.DuckDBPyConnection) -> date | None:
    """Return the day of the load with the highest number, by the clock of then."""
    rows: list[tuple[date | None]] = connection.execute(
        "select cast(arg_max(loaded_at, load_id) as date) from ledger.loads"
    ).fetchall()
    return rows[0][0]


def hidden_events(connection: duckdb.DuckDBPyConnection, floor: date) -> int:
    """Return how many events of tasks staging holds from before the floor."""
    counted = " + ".join(
        f"(select count(*) from raw.{kind} where occurred_at < $1)" for kind in TASK_EVENT_TYPES
    )
    ((events,),) = connection.execute(f"select {counted}", [floor]).fetchall()
    return int(events)


def _note(connection: duckdb.DuckDBPyConnection, today: date, first_day: date) -> None:
    moment = datetime.combine(today, utc_now().time())
    connection.execute("insert into ledger.retention values (?, ?)", [moment, first_day])


def _forget_above(connection: duckdb.DuckDBPyConnection, home: Home, day: date) -> None:
    drop_warehouse(home)  # first: a kill in between must not leave it standing
    connection.execute("delete from ledger.retention where executions_from > ?", [day])
