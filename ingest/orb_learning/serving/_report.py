"""The report: the marts of the current publication, as rows for people or programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orb_learning._database import connect
from orb_learning.errors import NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import DATABASE, Publication, current, moment_of
from orb_learning.serving._marts import MARTS


@dataclass(frozen=True, slots=True)
class MartRows:
    """Some rows of one mart.

    Attributes:
        name: the mart.
        columns: names of the columns, in the order of each row's values.
        rows: the rows, most telling first.
        total: how many rows the whole mart has.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    total: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The history in a few figures, all executions together.

    Attributes:
        executions: rows of `executions`.
        tasks: original tasks behind them.
        pending: attempts whose outcome is not known yet.
        success_rate: 0..1, of executions; None without any.
        known_cost: USD of the executions whose cost is known; None where none is.
        unknown_costs: executions whose cost nobody knows.
    """

    executions: int
    tasks: int
    pending: int
    success_rate: float | None
    known_cost: float | None
    unknown_costs: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the current publication says."""

    publication: Publication
    summary: Summary
    marts: list[MartRows]


def build_report(
    home: Home,
    *,
    as_of: str | None = None,
    marts: tuple[str, ...] = tuple(MARTS),
    limit: int | None = None,
) -> Report:
    """Read the report from the current publication.

    Args:
        home: the home to report on.
        as_of: the day the marts must end at, as an ISO date or time, UTC unless it says
            otherwise; None takes what is published.
        marts: which marts to read.
        limit: rows of each mart; None reads all.

    Raises:
        NotPublishedError: nothing is published, or it ends on another day than `as_of`.
        ProjectError: `as_of` is no time, or more than a day ahead.
        HomeError: the published file cannot be read.
    """
    day = None if as_of is None else moment_of(as_of).date().isoformat()
    publication = current(home)
    if day not in (None, publication.as_of[:10]):
        raise NotPublishedError(
            f"the published marts end at {publication.as_of[:10]}, not {day}; to see that day "
            f"without replacing them run: orb-learning refresh --as-of {day} --into DIR, and then: "
            "orb-learning --home DIR report"
        )
    # The directory, not the link: one report reads one publication.
    database = home.published / publication.id / DATABASE
    with connect(database, read_only=True) as connection:
        (summary,) = connection.execute(
            """
            select
                (select count(*) from executions),
                (select count(*) from tasks),
                (select count(*) from pending_executions),
                (select avg(cast(success as integer)) from executions),
                (select sum(actual_cost) from executions where cost_source != 'unknown'),
                (select count(*) from executions where cost_source = 'unknown')
            """
        ).fetchall()
        found = []
        for name in marts:
            mart = MARTS[name]
            held = {column for column, *_ in connection.execute(f"describe {name}").fetchall()}
            # An earlier release published fewer.
            columns = (column if column in held else f"null as {column}" for column in mart.columns)
            rows = connection.execute(
                f"select {', '.join(columns)} from {name} order by {mart.order}"
                + (f" limit {int(limit)}" if limit is not None else "")
            ).fetchall()
            found.append(MartRows(name, mart.columns, rows, publication.rows[name]))
    return Report(publication, Summary(*summary), found)
