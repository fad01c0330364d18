"""Publishing: a copy of the warehouse's tables, made current by one rename.

A publication is a directory of its own: the database, the index for similarity search where there
is one, and a manifest. Readers reach it through `learning.db`, a fixed link into
`published/current`, which is a link to the publication in force. Replacing that link is the whole
swap, so a reader sees the old copy or the new one and never a mixture.

The copy is not made afresh each time: a copy of the last publication is brought up to date
(`_catching_up`). And where nothing changed, none is made.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning import _catching_up
from orb_learning._catching_up import UnfitError
from orb_learning._copying import copy_tables
from orb_learning._database import connect, sync
from orb_learning._faults import crash_point
from orb_learning._types import utc_now
from orb_learning.errors import HomeError, NotPublishedError, RefreshError
from orb_learning.home import Home

if TYPE_CHECKING:
    import duckdb

    from orb_learning.embeddings._publish import Similarity

DATABASE = "learning.db"
MANIFEST = "manifest.json"
_IDENTITY = re.compile(r"\.?\d{8}T\d{12}-[0-9a-f]{4}")
"""Names of publications; of those still being made with a dot in front."""

KEPT = 3
"""Publications that stay, the current one included, for readers that still hold an older one."""

SMALL_BYTES = 16 * 1024 * 1024
"""What any database may grow by: half an empty file is no growth, nor is room that one change of a
small table's indexes leaves and the next one takes."""

logger = logging.getLogger("orb_learning.publication")


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication's manifest says.

    Attributes:
        id: names the publication and its directory.
        published_at: ISO 8601, UTC.
        as_of: the moment the marts' windows end, ISO 8601, UTC.
        load_id: the newest load it reflects.
        loaded_at: when that load was made, for a restored staging gives its number to another.
        rows: rows of each table.
        release: the release of orb-learning that made it.
        similarity: what there is for similarity search: `model`, `is_indexed`,
            `common_repo`, and the `version` of the vectors.
        lineage: what its large tables were copied from; see `_catching_up.lineage`.
        fresh_bytes_per_row: size of the database when all of it was copied last, by its rows.
        written: size and time of the database's last write, by which damage is noticed.
    """

    id: str
    published_at: str
    as_of: str
    load_id: int
    rows: dict[str, int]
    release: str
    similarity: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, str] = field(default_factory=dict)
    fresh_bytes_per_row: float = 0.0
    written: str = ""
    loaded_at: str = ""


def publish(
    warehouse: duckdb.DuckDBPyConnection, home: Home, *, schema: str, as_of: str
) -> Publication:
    """Make what the tables of one schema hold current, unless it is already.

    Args:
        warehouse: a connection to the warehouse with staging attached, outside any transaction.
        home: where to publish.
        schema: the schema whose tables readers get.
        as_of: the moment the marts' windows end, ISO 8601.

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
        _refuse_foreign_files(home)
        wanted = _wanted(warehouse, home, schema, as_of)
        erased_by = _newest_erasure(warehouse)
        standing = _standing(warehouse, home, wanted)
        if standing:
            _link(home)
            _prune(home, standing, erased_by)
            return standing
        made = _caught_up(warehouse, home, making, wanted, erased_by)
        if made is None:
            made = _copied(warehouse, home, making, wanted)
        crash_point("publish.copied")
        rows = made.rows
        _verify(making / DATABASE, rows)
        crash_point("publish.verified")
        size = (making / DATABASE).stat().st_size
        publication = Publication(
            id=identity,
            published_at=now.isoformat(),
            as_of=as_of,
            load_id=wanted.load_id,
            loaded_at=wanted.loaded_at(wanted.load_id),
            rows=rows,
            release=version("orb-learning"),
            similarity=asdict(made.similarity),
            lineage=wanted.lineage,
            fresh_bytes_per_row=made.fresh_bytes_per_row or size / max(1, sum(rows.values())),
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
        _swap(home, identity)
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
    _prune(home, publication, erased_by)
    crash_point("publish.pruned")
    logger.info("published %s, load %d", identity, publication.load_id)
    return publication


def current(home: Home) -> Publication:
    """Return the publication in force.

    Raises:
        NotPublishedError: there is none yet.
    """
    try:
        return manifest_of(home.current)
    except NotPublishedError as error:
        raise NotPublishedError(
            f"nothing is published in {home.root} yet; run `orb-learning refresh` or `dbt build`"
        ) from error


def manifest_of(folder: Path) -> Publication:
    """Return what a publication's manifest says.

    Raises:
        NotPublishedError: the folder holds no manifest that can be read.
    """
    try:
        said = json.loads((folder / MANIFEST).read_text())
        # A newer release may say more.
        known = {name: said[name] for name in Publication.__slots__ if name in said}
        publication = Publication(**known)
        texts, similarity = (publication.id, publication.as_of), publication.similarity
        if not (all(isinstance(text, str) for text in texts) and isinstance(similarity, dict)):
            raise TypeError("a manifest of another kind")
        return publication
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise NotPublishedError(f"{folder} holds no publication") from error


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a publication is to reflect.

    Attributes:
        loaded_at: when a load was made, by its number; an empty text if there is none.
    """

    schema: str
    as_of: str
    load_id: int
    loaded_at: Callable[[int], str]
    lineage: dict[str, str]
    vectors: str

    def can_follow(self, older: Publication) -> bool:
        """Tell whether an older publication differs from this only by what was loaded since."""
        return (
            older.lineage == self.lineage
            and older.release == version("orb-learning")
            and older.load_id <= self.load_id
            and older.loaded_at == self.loaded_at(older.load_id)
            and older.similarity.get("version", "") == self.vectors
        )


def _wanted(warehouse: duckdb.DuckDBPyConnection, home: Home, schema: str, as_of: str) -> _Wanted:
    from orb_learning.embeddings._publish import vectors_version

    def loaded_at(load_id: int) -> str:
        found = warehouse.execute(
            "select cast(loaded_at as varchar) from staging.ledger.loads where load_id = ?",
            [load_id],
        ).fetchone()
        return str(found[0]) if found else ""

    newest = "select coalesce(max(load_id), 0) from staging.ledger.loads"
    return _Wanted(
        schema=schema,
        as_of=as_of,
        load_id=int(_value(warehouse, newest)),
        loaded_at=loaded_at,
        lineage=_catching_up.lineage(warehouse, schema),
        vectors=vectors_version(home),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """A database that holds the warehouse's tables, and what similarity search needs."""

    rows: dict[str, int]
    similarity: Similarity
    fresh_bytes_per_row: float = 0.0


def _standing(
    warehouse: duckdb.DuckDBPyConnection, home: Home, wanted: _Wanted
) -> Publication | None:
    """Return the publication in force if a new one would hold the same, for the same day."""
    import duckdb

    try:
        standing = current(home)
        if (
            not wanted.can_follow(standing)
            or standing.load_id != wanted.load_id
            or standing.as_of[:10] != wanted.as_of[:10]
            or standing.written != _written(home.current / DATABASE)
            or not _catching_up.is_current(warehouse, home.current / DATABASE, wanted.schema)
        ):
            return None
    except (OSError, NotPublishedError, duckdb.Error):
        return None
    os.utime(home.current, follow_symlinks=False)  # when it was last seen to be up to date
    logger.info("nothing changed since publication %s", standing.id)
    return standing


def _caught_up(
    warehouse: duckdb.DuckDBPyConnection,
    home: Home,
    making: Path,
    wanted: _Wanted,
    erased_by: int,
) -> _Made | None:
    """Bring a copy of the publication in force up to date, if that leads to the same as filling."""
    import duckdb

    from orb_learning.embeddings._publish import INDEX, Similarity, complete_embeddings

    try:
        last = current(home)
        folder = home.published / last.id
        if (
            not wanted.can_follow(last)
            or last.load_id < erased_by
            or last.written != _written(folder / DATABASE)
        ):
            return None
        fresh = last.fresh_bytes_per_row * sum(last.rows.values())
        size = (folder / DATABASE).stat().st_size
        if size > _catching_up.MAX_GROWTH * fresh + SMALL_BYTES:
            raise UnfitError(f"of {size:,} bytes a fresh copy would take {fresh:,.0f}")
        making.mkdir(mode=0o700)
        _catching_up.clone(folder / DATABASE, making / DATABASE)
        if (folder / INDEX).exists():
            (making / INDEX).hardlink_to(folder / INDEX)  # never rewritten, only replaced
        rows = _catching_up.catch_up(warehouse, making / DATABASE, wanted.schema, last.load_id)
        similarity, added = complete_embeddings(
            making / DATABASE,
            Similarity(
                last.similarity["model"],
                last.similarity["is_indexed"],
                version=wanted.vectors,
                left_out=last.similarity.get("left_out", 0),
            ),
            home,
        )
    except NotPublishedError:
        return None
    except (OSError, duckdb.Error, UnfitError) as error:
        logger.info("the last publication is not brought up to date: %s", error)
        shutil.rmtree(making, ignore_errors=True)
        return None
    return _Made(rows | added, similarity, last.fresh_bytes_per_row)


def _copied(
    warehouse: duckdb.DuckDBPyConnection, home: Home, making: Path, wanted: _Wanted
) -> _Made:
    from orb_learning.embeddings._publish import complete_embeddings, stage_embeddings

    making.mkdir(mode=0o700)
    staged = stage_embeddings(home, making / DATABASE)
    rows = copy_tables(warehouse, making / DATABASE, wanted.schema)
    similarity, added = complete_embeddings(making / DATABASE, staged, home)
    return _Made(rows | added, similarity)


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


def _refuse_foreign_files(home: Home) -> None:
    for link in (home.current, home.learning_db):
        if link.exists() and not link.is_symlink():
            raise HomeError(f"{link} is not the link that publishing makes; move it away")


def _link(home: Home) -> None:
    """Make the fixed link that readers know, where it is gone or leads elsewhere."""
    target = home.current.relative_to(home.root) / DATABASE
    if not home.learning_db.is_symlink() or home.learning_db.readlink() != target:
        _replace_link(home.learning_db, target)


def _swap(home: Home, identity: str) -> None:
    # The fixed link first: made for the first publication, it leads nowhere until the swap, and a
    # kill in between leaves nothing that is published in one place and not in the other.
    _link(home)
    _replace_link(home.current, identity)
    crash_point("publish.current")
    sync(home.published)
    sync(home.root)


def _replace_link(link: Path, target: str | Path) -> None:
    fresh = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    fresh.symlink_to(target)
    fresh.replace(link)


def delete_older(home: Home) -> int:
    """Delete every publication but the one in force, and return how many there were.

    A reader that has one of them open goes on reading it.
    """
    try:
        current_id = home.current.readlink().name
    except OSError:
        return 0
    older = [
        entry
        for entry in home.published.iterdir()
        if _IDENTITY.fullmatch(entry.name) and entry.name != current_id
    ]
    for folder in older:
        shutil.rmtree(folder, ignore_errors=True)
    return len(older)


def _newest_erasure(warehouse: duckdb.DuckDBPyConnection) -> int:
    return int(_value(warehouse, "select coalesce(max(load_id), 0) from staging.ledger.erasures"))


def _reflects(folder: Path, load_id: int) -> bool:
    """Tell whether a publication was made from this load or a later one."""
    try:
        return manifest_of(folder).load_id >= load_id
    except NotPublishedError:
        return False


def _finished(home: Home) -> list[Path]:
    """Return the publications that there are, the oldest first."""
    names = sorted(entry.name for entry in home.published.iterdir())
    return [
        home.published / name
        for name in names
        if _IDENTITY.fullmatch(name) and not name.startswith(".")
    ]


def _prune(home: Home, standing: Publication, erased_by: int) -> None:
    """Delete the oldest publications, what knows of something erased, and what was never finished.

    After a restore load ids begin lower again, so where anything was ever erased only publications
    of the same tables can be judged by theirs.
    """
    finished = _finished(home)
    outdated = [
        folder
        for folder in finished
        if not _reflects(folder, erased_by)
        or (erased_by and manifest_of(folder).lineage != standing.lineage)
    ]
    abandoned = [entry for entry in home.published.glob(".*") if _IDENTITY.fullmatch(entry.name)]
    for folder in {*finished[:-KEPT], *outdated, *abandoned} - {home.published / standing.id}:
        shutil.rmtree(folder, ignore_errors=True)
    for link in (home.current, home.learning_db):
        for left in link.parent.glob(f".{link.name}-*"):
            if left.is_symlink():
                left.unlink(missing_ok=True)
