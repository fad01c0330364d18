"""The next migration, drafted from the event classes: `make migration NAME=added_field`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import in_memory
from orb_learning.errors import MigrationError
from orb_learning.events import EVENT_TYPES, Event
from orb_learning.staging._columns import raw_columns
from orb_learning.staging._migrations import known_migrations, upgrade

if TYPE_CHECKING:
    import duckdb

FOLDER = Path(__file__).parent / "migrations"


def draft(name: str) -> list[Path]:
    """Write the files of the next migration and return their paths.

    Raises:
        MigrationError: the name is no word, or see `drafted`.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise MigrationError(f"{name!r} names no migration; use a word like added_field")
    scripts = dict(zip(("up", "down"), drafted(), strict=True))
    number = known_migrations()[-1].version + 1
    paths = []
    for direction, script in scripts.items():
        paths.append(FOLDER / f"{number:04}_{name}.{direction}.sql")
        paths[-1].write_text(script, encoding="utf-8")
    return paths


def drafted() -> tuple[str, str]:
    """Return the SQL from the newest schema to what the event classes say, and back.

    Raises:
        MigrationError: nothing differs, or what differs is no new table and no new column that may
            be null: what becomes of the rows there, only a person can say.
    """
    up: list[str] = []
    down: list[str] = []
    with in_memory() as connection:
        upgrade(connection)
        for kind, cls in EVENT_TYPES.items():
            found = _columns(connection, kind)
            if not found:
                up.append(_table(kind, cls))
                down.append(f"drop table raw.{kind};\n")
                continue
            for name, type_ in _added(kind, cls, found).items():
                up.append(f"alter table raw.{kind} add column {name} {type_};\n")
                down.append(f"alter table raw.{kind} drop column {name};\n")
    if not up:
        raise MigrationError("the newest schema is what the event classes say")
    return "".join(up), "".join(reversed(down))


def _columns(connection: duckdb.DuckDBPyConnection, kind: str) -> dict[str, str]:
    found = connection.execute(
        "select column_name, data_type from duckdb_columns()"
        " where schema_name = 'raw' and table_name = ?",
        [kind],
    )
    return dict(found.fetchall())


def _table(kind: str, cls: type[Event]) -> str:
    columns = ",\n".join(
        f"    {name} {type_}{'' if _may_be_null(cls, name) else ' not null'}"
        for name, type_ in raw_columns(cls).items()
    )
    return f"create table raw.{kind} (\n{columns}\n);\n"


def _added(kind: str, cls: type[Event], found: dict[str, str]) -> dict[str, str]:
    """Return the columns that a table lacks and may get without a word about its rows."""
    declared = raw_columns(cls)
    added = {name: declared[name] for name in declared if name not in found}
    faults = [
        f"raw.{kind}.{name} is {type_}, {cls.__name__} says {declared.get(name, 'nothing')}"
        for name, type_ in found.items()
        if declared.get(name) != type_
    ]
    faults += [
        f"raw.{kind}.{name} may not be null, and rows of before have none"
        for name in added
        if not _may_be_null(cls, name)
    ]
    if faults:
        raise MigrationError(f"write this step by hand: {'; '.join(faults)}")
    return added


def _may_be_null(cls: type[Event], name: str) -> bool:
    field = cls.model_fields.get(name)
    return field is not None and not field.is_required() and field.default is None


def main(arguments: list[str]) -> None:
    """Draft the migration of that name and say where it is."""
    try:
        print(*draft(" ".join(arguments)), sep="\n")
    except MigrationError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main(sys.argv[1:])
