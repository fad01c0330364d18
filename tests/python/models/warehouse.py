"""A home whose dbt runs in this process with a project parsed once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from orb_learning import Telemetry
from orb_learning.events import Event
from orb_learning.refresh import Refresher
from warm_dbt import QUIETLY

LOAD_COLUMNS = {"load_id", "first_load_id", "uploaded_at", "fingerprint", "day_fingerprint"}
"""What depends on the cut into loads, and on nothing else."""

Tables = dict[str, list[tuple[Any, ...]]]


class Warehouse:
    """Writes events, runs dbt, and reads back what dbt built."""

    def __init__(self, root: Path, refresher: Refresher | None = None) -> None:
        self.refresher = Refresher(root)
        if refresher is not None:
            self.refresher._manifest = refresher._manifest
        self.home = self.refresher.home

    def write(self, events: Iterable[Event]) -> None:
        with Telemetry(self.home.root, strict=True) as telemetry:
            for event in events:
                telemetry.capture_sync(event)

    def run(self, *arguments: str, as_of: str = "2026-06-15", **variables: Any) -> Any:
        settings = ", ".join(f"{name}: {value}" for name, value in variables.items())
        text = f"{{as_of: '{as_of}'" + (f", {settings}" if settings else "") + "}"
        return self.refresher.invoke(["run", *arguments, "--vars", text, *QUIETLY])

    def tables(self, *, without: Iterable[str] = ()) -> Tables:
        """Return every table that dbt built, its rows in one order whatever theirs is."""
        left_out = set(without)
        with duckdb.connect(str(self.home.warehouse), read_only=True) as connection:
            names = connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables() order by 1"
            ).fetchall()
            found: Tables = {}
            for (name,) in names:
                columns = [
                    row[0]
                    for row in connection.execute(f"describe {name}").fetchall()
                    if row[0] not in left_out
                ]
                listed = ", ".join(f'"{column}"' for column in columns)
                query = f"select {listed} from {name} order by all"
                found[name] = connection.execute(query).fetchall()
            return found
