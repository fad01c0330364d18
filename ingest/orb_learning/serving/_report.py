"""The report: the marts of the current publication, as rows for people or programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orb_learning._database import connect
from orb_learning.errors import InvalidQueryError, NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import DATABASE, Publication, current, moment_of
from orb_learning.serving._marts import MARTS, Mart
from orb_learning.serving._overview import Filters, Overview, read_overview

if TYPE_CHECKING:
    import duckdb

EVERYTHING = Filters()


@dataclass(frozen=True, slots=True)
class MartRows:
    """Some rows of one mart.

    Attributes:
        name: the mart.
        columns: names of the columns, in the order of each row's values.
        rows: the rows, most telling first.
        total: how many rows there are, shown or not.
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
    """What the current publication says.

    Attributes:
        publication: which it is.
        summary: all executions in a few figures.
        overview: what to use for each kind of task; None where an earlier release published.
        marts: rows of the marts that were asked for.
    """

    publication: Publication
    summary: Summary
    overview: Overview | None
    marts: list[MartRows]


def build_report(
    home: Home,
    *,
    as_of: str | None = None,
    marts: tuple[str, ...] | None = None,
    limit: int | None = None,
    filters: Filters = EVERYTHING,
    sort: str | None = None,
) -> Report:
    """Read the report from the current publication.

    Args:
        home: the home to report on.
        as_of: the day the marts must end at, as an ISO date or time, UTC unless it says
            otherwise; None takes what is published.
        marts: which marts to read; None takes each that the filters are meant for.
        limit: rows of each mart; None reads all.
        filters: which executions it is about.
        sort: a column that rows are sorted by, the largest first with a `-` before it.

    Raises:
        NotPublishedError: nothing is published, or it ends on another day than `as_of`.
        ProjectError: `as_of` is no time, or more than a day ahead.
        InvalidQueryError: a mart has not what it is to be filtered or sorted by.
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
    wanted = [MARTS[name] for name in (MARTS if marts is None else marts)]
    if marts is None:
        wanted = [mart for mart in wanted if not _lacks(mart, filters)]
    # The directory, not the link: one report reads one publication.
    database = home.published / publication.id / DATABASE
    with connect(database, read_only=True, name="learning") as connection:
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
        overview = read_overview(connection, publication, filters)
        rest = "" if limit is None else f" limit {int(limit)}"
        found = [
            _rows(connection, mart, publication.as_of[:10], filters, _order(mart, sort) + rest)
            for mart in wanted
        ]
    return Report(publication, Summary(*summary), overview, found)


def _rows(
    connection: duckdb.DuckDBPyConnection,
    mart: Mart[Any],
    as_of: str,
    filters: Filters,
    order: str,
) -> MartRows:
    if column := _lacks(mart, filters):
        raise InvalidQueryError(
            f"{mart.name} has no {column}: leave that filter out, or choose another mart"
        )
    held = {column for column, *_ in connection.execute(f"describe {mart.name}").fetchall()}
    # An earlier release published fewer.
    columns = (column if column in held else f"null as {column}" for column in mart.columns)
    conditions, values = ["true"], dict[str, object]()
    for column, value in _wanted(filters).items():
        is_list = column not in mart.columns  # of a pattern's task types
        conditions.append(
            f"list_contains({column}s, ${column})" if is_list else f"{column} = ${column}"
        )
        values[column] = value
    if filters.days is not None:
        conditions.append(f"cast({mart.time} as date) > cast($as_of as date) - $days")
        values |= {"as_of": as_of, "days": filters.days}
    where = " and ".join(conditions)
    total = connection.execute(f"select count(*) from {mart.name} where {where}", values)
    (count,) = total.fetchall()[0]
    rows = connection.execute(
        f"select {', '.join(columns)} from {mart.name} where {where} order by {order}", values
    ).fetchall()
    return MartRows(mart.name, mart.columns, rows, count)


def _wanted(filters: Filters) -> dict[str, str]:
    given = {"repo": filters.repo, "task_type": filters.task_type, "model_tier": filters.tier}
    return {column: value for column, value in given.items() if value is not None}


def _lacks(mart: Mart[Any], filters: Filters) -> str | None:
    """Return a column that the filters are about and that a mart has not."""
    held = {*mart.columns, *("task_type" for column in mart.columns if column == "task_types")}
    return next((column for column in _wanted(filters) if column not in held), None)


def _order(mart: Mart[Any], sort: str | None) -> str:
    if sort is None:
        return mart.order
    column = sort.removeprefix("-")
    if column not in mart.columns:
        raise InvalidQueryError(
            f"cannot sort {mart.name} by {column}: it has {', '.join(mart.columns)}"
        )
    return f"{column} {'desc' if sort.startswith('-') else 'asc'} nulls last, {mart.order}"
