"""What one load takes: how far segments are read, rows by kind of event, lines for quarantine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from orb_learning._types import NAMESPACE
from orb_learning.errors import InvalidEventError
from orb_learning.events import InvalidEvent, content_hash
from orb_learning.spool import ERASED, Line, read_event

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What loading did.

    Attributes:
        load_id: the newest load in staging, 0 before the first.
        lines: lines read; always loaded + duplicates + quarantined. Those that an erasure has
            blanked say nothing any more, and are not counted.
        must_erase: what was erased has left traces outside of the raw tables; `upkeep.take_in`
            removes them.
    """

    load_id: int = 0
    lines: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0
    must_erase: bool = False

    def and_then(self, later: LoadReport) -> LoadReport:
        """Return this load and a later one as one."""
        return LoadReport(
            later.load_id,
            self.lines + later.lines,
            self.loaded + later.loaded,
            self.duplicates + later.duplicates,
            self.quarantined + later.quarantined,
        )


@dataclass(slots=True)
class Progress:
    """How far one segment has been read, before and within this load.

    Attributes:
        read_from: where this load begins.
        size: bytes that it has read, those of lines that were blanked included.
    """

    name: str
    read_from: int
    is_complete: bool = False
    size: int = 0
    lines: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0

    @property
    def read_to(self) -> int:
        """Return where the next load begins."""
        return self.read_from + self.size


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands: its position among the batch's lines, and its segment's number."""

    position: int
    segment: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line for quarantine."""

    place: Place
    quarantine_id: UUID
    line: Line
    reason: str
    claimed_type: str | None = None
    payload: bytes | None = None
    captured_at: datetime | None = None
    import_id: str | None = None

    @property
    def stored(self) -> bytes:
        """What is kept of it: the payload that a hook refused, else the line."""
        return self.line.data if self.payload is None else self.payload


@dataclass(slots=True)
class Batch:
    """What one load takes.

    Attributes:
        segments: those it reads, in order.
        first_positions: where each run of lines of one segment begins, and that segment's number.
        rows: by kind of event, what Python validated: the row as JSON text, its line and its place.
        kinds: the kinds of event that have rows, these ones or such as never left DuckDB.
        taken: how many lines were taken; each has a position, counted from 0.
        lines: how many of them say something: an erasure blanks the others.
        size: the bytes of all of them.
    """

    load_id: int
    segments: list[Progress] = field(default_factory=list)
    first_positions: list[Place] = field(default_factory=list)
    rows: dict[str, list[tuple[str, Line, Place]]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)
    taken: int = 0
    lines: int = 0
    size: int = 0

    def begin(self, progress: Progress) -> None:
        """Go on with the lines of another segment."""
        self.segments.append(progress)
        self.turn_to(len(self.segments) - 1)

    def turn_to(self, segment: int) -> None:
        """Go on with the lines of a segment that was begun."""
        if self.first_positions and self.first_positions[-1].position == self.taken:
            self.first_positions.pop()  # that segment had no new line
        self.first_positions.append(Place(self.taken, segment))

    def take(self, count: int, size: int) -> Place:
        """Count the segment's next lines, of so many bytes, and return the place of their first."""
        place = Place(self.taken, self.first_positions[-1].segment)
        progress = self.segments[place.segment]
        progress.lines += count
        progress.size += size
        self.taken += count
        self.lines += count
        self.size += size
        return place

    def validate(self, line: Line, place: Place) -> None:
        """Decide in Python whether a line is an event, and which."""
        if _is_blanked(line.data):
            self.lines -= 1
            self.segments[place.segment].lines -= 1
            return
        if line.fault:
            self.refuse(line, place, line.fault)
            return
        try:
            event, spelled = read_event(line.data)
        except InvalidEventError as error:
            self.refuse(line, place, str(error))
            return
        if isinstance(event, InvalidEvent):
            self.refusals.append(
                Refusal(
                    place,
                    event.event_id,
                    line,
                    event.reason,
                    event.claimed_type,
                    event.payload.encode(),
                    event.captured_at.replace(tzinfo=None),
                    event.import_id,
                )
            )
            return
        self.add(event.type_name, spelled, line, place)

    def add(self, kind: str, spelled: bytes, line: Line, place: Place) -> None:
        """Take the row of an event's canonical line."""
        self.rows.setdefault(kind, []).append((self.row(spelled, place), line, place))
        self.kinds.add(kind)

    def refuse(self, line: Line, place: Place, reason: str) -> None:
        """Put a line into quarantine."""
        name = self.segments[place.segment].name
        where = uuid5(NAMESPACE, f"{name}:{line.offset}")
        self.refusals.append(Refusal(place, where, line, reason))

    def row(self, spelled: bytes, place: Place) -> str:
        """Return an event's canonical line with what the loader adds."""
        added = (
            f',"event_hash":"{content_hash(spelled)}","load_id":{self.load_id},'
            f'"position":{place.position}}}'
        )
        return spelled[:-1].decode() + added


def _is_blanked(line: bytes) -> bool:
    """Tell whether an erasure has blanked a line, which may have been shorter than what it says."""
    return line.startswith(ERASED) or (line != b"" and ERASED.startswith(line))


def attach(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the catalog `batch`, in memory, where a load's rows become typed.

    Small groups of rows keep all of DuckDB's threads at work on them.
    """
    connection.execute("attach ':memory:' as batch (row_group_size 20480)")
    # The file of lines has one name for ever new contents.
    connection.execute("set enable_external_file_cache = false")
