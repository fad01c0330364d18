"""Publishing: a copy of the warehouse's tables, made current by one rename.

A publication is a directory of its own: the database, what a companion puts beside it, and a
manifest. Readers reach it through `learning.db`, a fixed link into
`published/current`, which is a link to the publication in force. Replacing that link is the whole
swap, so a reader sees the old copy or the new one and never a mixture.

The copy is not made afresh each time: a copy of the last publication is brought up to date
(`_update`). And where nothing changed, none is made.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orb_learning._database import connect
from orb_learning._faults import crash_point
from orb_learning._files import sync
from orb_learning._types import utc_now
from orb_learning.errors import HomeError, NotPublishedError, RefreshError
from orb_learning.home import Home
from orb_learning.publication import _update
from orb_learning.publication._copy import Chosen, copy_tables, tables_of
from orb_learning.publication._manifest import DATABASE, MANIFEST, Publication, current
from orb_learning.publication._swap import link, prune, refuse_foreign_files, swap
from orb_learning.publication._update import CannotUpdateError, Keyed

if TYPE_CHECKING:
    import duckdb

SMALL_BYTES = 16 * 1024 * 1024
"""What any database may grow by: half an empty file is no growth, nor is room that one change of a
small table's indexes leaves and the next one takes."""

logger = logging.getLogger("orb_learning.publication")


class Companion(Protocol):
    """Adds tables and files of its own to every publication.

    Attributes:
        tables: names of the tables that it adds to the database.
    """

    tables: frozenset[str]

    def version(self) -> str:
        """Return a text that changes whenever what it adds does."""

    def begin(self, database: Path, last: tuple[Path, dict[str, Any]] | None) -> dict[str, Any]:
        """Begin a publication, before the warehouse's tables are in it.

        Args:
            database: a file to make or leave alone; with `last`, a copy of the last one's.
            last: the last publication's folder, and what its manifest says of the companion.

        Returns:
            what `complete` needs.
        """

    def complete(
        self, database: Path, begun: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Add what depends on the warehouse's tables, to a closed database.

        Returns:
            what the manifest is to say, with the `version` that was added; the rows of each table
            that was added.

        Raises:
            CannotUpdateError: a fresh copy is needed.
        """


def publish(
    warehouse: duckdb.DuckDBPyConnection,
    home: Home,
    *,
    schema: str,
    as_of: str,
    tables: Collection[str] | None = None,
    keyed: Mapping[str, Keyed] | None = None,
    companion: Companion | None = None,
) -> Publication:
    """Make what the tables of one schema hold current, unless it is already.

    Args:
        warehouse: a connection to the warehouse with staging attached, outside any transaction.
        home: where to publish.
        schema: the schema whose tables readers get.
        as_of: the moment the marts' windows end, ISO 8601.
        tables: those that the run has built; others that lie there are older, and stay there.
            None takes all.
        keyed: the tables that grow with the history, by name; the others are compared whole.
        companion: adds to the publication what is not of the warehouse.

    Returns:
        the publication now in force.

    Raises:
        RefreshError: the warehouse cannot be copied, or the copy lacks rows; nothing was swapped.
        HomeError: the publication cannot be written, or something else stands in its place.
    """
    import duckdb

    now = utc_now()
    identity = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}"
    making = home.published / f".{identity}"
    try:
        refuse_foreign_files(home)
        target = _target(
            warehouse,
            schema=schema,
            as_of=as_of,
            tables=tables,
            keyed=keyed or {},
            companion=companion,
        )
        erased_by = _newest_erasure(warehouse)
        standing = _unchanged(warehouse, home, target)
        if standing:
            link(home)
            prune(home, standing, erased_by)
            return standing
        built = _updated(warehouse, home, making, target, erased_by)
        if built is None:
            built = _copied(warehouse, making, target)
        crash_point("publish.copied")
        rows = built.rows
        _verify(making / DATABASE, rows)
        crash_point("publish.verified")
        size = (making / DATABASE).stat().st_size
        publication = Publication(
            id=identity,
            published_at=now.isoformat(),
            as_of=as_of,
            load_id=target.load_id,
            loaded_at=target.loaded_at(target.load_id),
            rows=rows,
            release=version("orb-learning"),
            similarity=built.similarity,
            lineage=target.lineage,
            fresh_bytes_per_row=built.fresh_bytes_per_row or size / max(1, sum(rows.values())),
            written=_written(making / DATABASE),
        )
        (making / MANIFEST).write_text(json.dumps(asdict(publication), indent=2) + "\n")
        for file in making.iterdir():
            sync(file)
            file.chmod(0o400)
        sync(making)
        crash_point("publish.synced")
        making.rename(home.published / identity)
        sync(home.published)
        crash_point("publish.renamed")
        swap(home, identity)
        crash_point("publish.swapped")
    except OSError as error:
        raise HomeError(f"cannot publish to {home.published}: {error}") from error
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise RefreshError(
            f"cannot copy the warehouse: {reason}; the last publication stands"
        ) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    prune(home, publication, erased_by)
    crash_point("publish.pruned")
    logger.info("published %s, load %d", identity, publication.load_id)
    return publication


@dataclass(frozen=True, slots=True)
class _Target:
    """What a publication is to reflect.

    Attributes:
        loaded_at: when a load was made, by its number; an empty text if there is none.
        version: the companion's.
    """

    chosen: Chosen
    as_of: str
    keyed: Mapping[str, Keyed]
    companion: Companion | None
    load_id: int
    loaded_at: Callable[[int], str]
    lineage: dict[str, str]
    version: str

    @property
    def own_tables(self) -> frozenset[str]:
        """Tables of a publication that the warehouse has not."""
        return self.companion.tables if self.companion else frozenset()

    def can_follow(self, older: Publication) -> bool:
        """Tell whether an older publication differs from this only by what was loaded since."""
        return (
            older.lineage == self.lineage
            and older.release == version("orb-learning")
            and older.load_id <= self.load_id
            and older.loaded_at == self.loaded_at(older.load_id)
            and older.similarity.get("version", "") == self.version
        )

    def begin(self, database: Path, last: tuple[Path, dict[str, Any]] | None) -> dict[str, Any]:
        return self.companion.begin(database, last) if self.companion else {}

    def complete(
        self, database: Path, begun: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, int]]:
        return self.companion.complete(database, begun) if self.companion else ({}, {})


def _target(
    warehouse: duckdb.DuckDBPyConnection,
    *,
    schema: str,
    as_of: str,
    tables: Collection[str] | None,
    keyed: Mapping[str, Keyed],
    companion: Companion | None,
) -> _Target:
    def loaded_at(load_id: int) -> str:
        found = warehouse.execute(
            "select cast(loaded_at as varchar) from staging.ledger.loads where load_id = ?",
            [load_id],
        ).fetchone()
        return str(found[0]) if found else ""

    newest = "select coalesce(max(load_id), 0) from staging.ledger.loads"
    return _Target(
        chosen=Chosen(
            schema, tables_of(warehouse, schema) if tables is None else tuple(sorted(tables))
        ),
        as_of=as_of,
        keyed=keyed,
        companion=companion,
        load_id=int(_value(warehouse, newest)),
        loaded_at=loaded_at,
        lineage=_update.lineage(warehouse, schema, keyed),
        version=companion.version() if companion else "",
    )


@dataclass(frozen=True, slots=True)
class _Built:
    """A database that holds the warehouse's tables, and what its companion says of it."""

    rows: dict[str, int]
    similarity: dict[str, Any]
    fresh_bytes_per_row: float = 0.0


def _unchanged(
    warehouse: duckdb.DuckDBPyConnection, home: Home, target: _Target
) -> Publication | None:
    """Return the publication in force if a new one would hold the same, for the same day."""
    import duckdb

    try:
        standing = current(home)
        if (
            not target.can_follow(standing)
            or standing.load_id != target.load_id
            or standing.as_of[:10] != target.as_of[:10]
            or standing.written != _written(home.current / DATABASE)
            or not _update.is_current(
                warehouse,
                home.current / DATABASE,
                target.chosen,
                target.keyed,
                target.own_tables,
            )
        ):
            return None
    except (OSError, NotPublishedError, duckdb.Error):
        return None
    os.utime(home.current, follow_symlinks=False)  # when it was last seen to be up to date
    logger.info("nothing changed since publication %s", standing.id)
    return standing


def _updated(
    warehouse: duckdb.DuckDBPyConnection,
    home: Home,
    making: Path,
    target: _Target,
    erased_by: int,
) -> _Built | None:
    """Bring a copy of the publication in force up to date, if that leads to the same as filling."""
    import duckdb

    database = making / DATABASE
    try:
        last = current(home)
        folder = home.published / last.id
        if (
            not target.can_follow(last)
            or last.load_id < erased_by
            or last.written != _written(folder / DATABASE)
        ):
            return None
        fresh = last.fresh_bytes_per_row * sum(last.rows.values())
        size = (folder / DATABASE).stat().st_size
        if size > _update.MAX_GROWTH * fresh + SMALL_BYTES:
            raise CannotUpdateError(f"of {size:,} bytes a fresh copy would take {fresh:,.0f}")
        making.mkdir(mode=0o700)
        _update.clone(folder / DATABASE, database)
        begun = target.begin(database, (folder, last.similarity))
        rows = _update.update(
            warehouse,
            database,
            target.chosen,
            since=last.load_id,
            keyed=target.keyed,
            own_tables=target.own_tables,
        )
        similarity, added = target.complete(database, begun)
    except NotPublishedError:
        return None
    except (OSError, duckdb.Error, CannotUpdateError) as error:
        logger.info("the last publication is not brought up to date: %s", error)
        shutil.rmtree(making, ignore_errors=True)
        return None
    return _Built(rows | added, similarity, last.fresh_bytes_per_row)


def _copied(warehouse: duckdb.DuckDBPyConnection, making: Path, target: _Target) -> _Built:
    database = making / DATABASE
    making.mkdir(mode=0o700)
    begun = target.begin(database, None)
    rows = copy_tables(warehouse, database, target.chosen)
    similarity, added = target.complete(database, begun)
    return _Built(rows | added, similarity)


def _written(database: Path) -> str:
    found = database.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _verify(path: Path, rows: dict[str, int]) -> None:
    with connect(path, read_only=True) as copy:
        for table, expected in rows.items():
            found = _value(copy, f'select count(*) from "{table}"')
            if found != expected:
                raise RefreshError(
                    f"the copy of {table} holds {found} rows instead of {expected}; "
                    "the last publication stands"
                )
    if path.with_name(path.name + ".wal").exists():
        raise RefreshError(f"{path} was not closed cleanly; the last publication stands")


def _value(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Return the single value of a query that always has one row."""
    (row,) = connection.execute(query).fetchall()
    return row[0]


def _newest_erasure(warehouse: duckdb.DuckDBPyConnection) -> int:
    return int(_value(warehouse, "select coalesce(max(load_id), 0) from staging.ledger.erasures"))
