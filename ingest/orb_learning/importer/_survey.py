"""Reading a file once for what all of its rows tell together, before any is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orb_learning._coercion import spells_epoch
from orb_learning._spellings import spellings
from orb_learning._success import SPEAKING
from orb_learning.capture import Reading, number_of
from orb_learning.errors import ImportFileError, InvalidEventError
from orb_learning.events import ExecutionRecorded
from orb_learning.importer._formats import read_rows
from orb_learning.importer._mapping import FieldMap
from orb_learning.importer._meter import Meter
from orb_learning.importer._row import BadRow, Row
from orb_learning.importer._sources import Source
from orb_learning.importer._times import Clock

_MAX_COLUMNS = 1000
_SHOWN_COLUMNS = 20

_KNOWN = spellings(ExecutionRecorded)
NEEDED = {
    name: frozenset(
        SPEAKING if name == "success" else (key for key, field in _KNOWN.items() if field == name)
    )
    for name in ("timestamp", "task_type", "repo", "model_tier", "success")
}
"""What every execution has, with the keys that give it."""

_LIKELY = {
    "timestamp": "start started start_time started_at starttime begin begun ts time date datetime"
    " created created_at at when submitted_at",
    "task_type": "kind task benchmark suite dataset job",
    "repo": "project repo_url workspace codebase benchmark dataset",
    "model_tier": "model_name llm model_id agent engine",
    "success": "result verdict correct score reward",
}
"""Columns of other tools that may hold what every execution has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How rows are read."""

    import_id: str
    field_map: FieldMap
    clock: Clock
    attempts_from: int
    reading: Reading
    rows: str | None = None
    meter: Meter | None = None

    def rows_of(self, source: Source) -> Iterator[Row | BadRow]:
        """Yield the rows of a file; where a preset looks for them they need not be."""
        preset = self.field_map.preset
        if self.rows is None and preset:
            rows = read_rows(source, preset.rows, may_lack=True)
        else:
            rows = read_rows(source, self.rows)
        return self.meter.over(source, rows) if self.meter else rows


@dataclass(slots=True)
class Scales:
    """How the files count, which one row alone does not tell."""

    quality_scale: int
    attempts_from: int
    best: float = 0.0
    has_fraction: bool = False

    def see(self, row: Row, place: str) -> None:
        for key, value in row.items():
            if _KNOWN.get(key) == "quality_score" and (score := number_of(value)) is not None:
                self.best = max(self.best, score)
                self.has_fraction = self.has_fraction or score % 1 != 0
            elif key == "attempt" and self.attempts_from == 1 and number_of(value) == 0:
                raise ImportFileError(
                    f"{place}: attempt 0; if these files count from 0, say --attempts-from 0"
                )

    def refuse_shares(self) -> None:
        if self.quality_scale != 1 and self.has_fraction and self.best <= 1:
            raise ImportFileError(
                "all quality scores lie between 0 and 1, where scores are from 0 to 100; say "
                "--quality-scale 1, and nothing is recorded until then"
            )


def look_through(source: Source, settings: Settings, scales: Scales) -> list[str]:
    """Read a file once for what all of its rows tell together, and refuse it for that.

    Returns:
        the columns that no field and no map takes.
    """
    columns: dict[str, None] = {}
    filled: set[str] = set()
    is_empty = True
    is_naive = is_timed = False
    unread: object = None
    for number, row in enumerate(settings.rows_of(source), start=1):
        if isinstance(row, BadRow):
            continue
        is_empty = False
        mapped = row
        with suppress(InvalidEventError):
            mapped = settings.field_map.apply(row, settings.clock)
        if len(columns) < _MAX_COLUMNS:
            columns.update(dict.fromkeys(row))
        filled.update(key for key, value in mapped.items() if value is not None)
        scales.see(mapped, f"{Path(source.name).name} row {number}")
        if not is_timed and (given := mapped.get("timestamp")) is not None:
            read = settings.clock.read(given)
            if isinstance(read, datetime) and read.tzinfo is None:
                is_naive = True
            elif isinstance(read, str) and not spells_epoch(read):
                unread = unread or read
            else:
                is_timed = True
    if is_empty:
        return []
    if is_naive and not is_timed:
        raise ImportFileError(
            f"{source.name}: no timestamp has an offset, so which moments they are is not known; "
            "say --assume-utc if they are in UTC, else --timezone, as Europe/Berlin"
        )
    if unread and not is_timed:
        raise ImportFileError(
            f"{source.name}: no timestamp is read, such as {str(unread)[:60]!r}; write it as "
            "2026-11-20T14:05:00+01:00 or in seconds since 1970, or say how it is written: "
            "--time-format '%d/%m/%Y %H:%M'"
        )
    settings.field_map.refuse_unfound(source.name, list(columns))
    missing = [name for name, keys in NEEDED.items() if not filled & keys]
    if missing:
        raise ImportFileError(_with_remedy(source.name, missing, list(columns), settings.field_map))
    return [name for name in columns if name not in _KNOWN and not settings.field_map.reads(name)]


def _with_remedy(shown: str, missing: list[str], columns: list[str], field_map: FieldMap) -> str:
    maps = []
    for name in missing:
        likely = next((one for one in columns if one.lower() in _LIKELY[name].split()), None)
        maps.append(f"--map {name}={likely}" if likely else f"--map {name}=PATH")
    more = ", …" if len(columns) > _SHOWN_COLUMNS else ""
    lacks = f"no row has {', '.join(missing)}"
    if field_map.preset:
        looked = {name: " or ".join(field_map.looked_for(name)) for name in missing}
        shown_paths = ", ".join(name + f" (not at {at})" * bool(at) for name, at in looked.items())
        lacks = f"preset {field_map.preset.name} finds in no row {shown_paths}"
    return (
        f"{shown}: {lacks}; say where to take it from, {' '.join(maps)}, "
        f"or what it is, --map \"{missing[-1]}='…'\"; the rows have "
        f"{', '.join(columns[:_SHOWN_COLUMNS]) or 'nothing'}{more}"
    )
