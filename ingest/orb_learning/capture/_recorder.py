"""The bottom of every hook: validate, mask, write one line, return."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from orb_learning._success import UnknownWordError, Vocabulary
from orb_learning.capture._adapt import clean_text
from orb_learning.capture._build import build, direct, reason_of, refusal
from orb_learning.capture._late import late_line
from orb_learning.capture._masking import Masker
from orb_learning.capture._misfits import Reading
from orb_learning.capture._task_context import decided
from orb_learning.errors import InvalidEventError, SpoolWriteError, printable
from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    InvalidEvent,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
)
from orb_learning.home import Home
from orb_learning.spool import MAX_LINE_BYTES, MAX_SEGMENT_BYTES, SpoolWriter

logger = logging.getLogger("orb_learning.capture")

WARN_EVERY_SECONDS = 60.0
MAX_RECORDED_POOLS = 10_000
MAX_WARNED_OF = 100
MAX_TOLD = 1000

E = TypeVar("E", bound=Event)

_HOOKED: tuple[type[Event], ...] = (
    RoutingDecision,
    RoutingOutcome,
    PoolExecutionStart,
    PoolExecutionComplete,
    Feedback,
    ExecutionRecorded,
    InvalidEvent,
)


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """What one `Telemetry` has done since it was made.

    Attributes:
        captured: valid events that the spool holds.
        quarantined: invalid events that the spool holds, with their reasons.
        dropped: events that the operating system refused to store.
        written_bytes: bytes of all lines written, newlines included.
        unknown_words: those of the quarantined whose status word nobody knows.
        misfits: optional values that no field takes, kept in the metadata of their events.
    """

    captured: int
    quarantined: int
    dropped: int
    written_bytes: int
    unknown_words: int = 0
    misfits: int = 0


class Recorder:
    """Records events into the spool; made once per process and shared by all its threads.

    It never raises, unless `strict` is set: what cannot be recorded is put into quarantine, or
    counted in `stats()` and logged.
    """

    _is_ending = staticmethod(sys.is_finalizing)  # the class keeps it: a module loses its names

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        strict: bool = False,
        mask: Callable[[str], str] | None = None,
        hash_descriptions: bool = False,
        status_words: Mapping[str, bool] | None = None,
        quality_scale: int = 100,
        fsync_interval_seconds: float | None = None,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
    ) -> None:
        """Make a recorder; nothing is opened before the first event.

        Args:
            home: the home directory; default $ORB_LEARNING_HOME, else ./data.
            strict: raise on invalid events and failed writes, for tests and development.
            mask: the host's own rule, beside the built-in ones: takes any text of an event and
                returns what may be written of it. If it fails, the text is withheld.
            hash_descriptions: write only the SHA-256 of task descriptions and prompts.
            status_words: words of the host's own that say how work ended, with whether they say
                success, such as `{"green": True}`.
            quality_scale: the best quality score: 100, or 1 where the host's are from 0 to 1.
            fsync_interval_seconds: force lines to the disk at most this late; None leaves that to
                the system, 0 forces each line.
            max_segment_bytes: a new segment is begun beyond this size.
        """
        self.home = Home.locate(home)
        self.is_strict = strict
        self._spool = SpoolWriter(
            self.home.spool,
            max_segment_bytes=max_segment_bytes,
            fsync_interval_seconds=fsync_interval_seconds,
        )
        self.reading = Reading(Vocabulary(status_words), quality_scale, self._note_misfit)
        self._once_read = replace(self.reading, quality_scale=100)
        self._masker = Masker(mask, hash_descriptions=hash_descriptions)
        self._has_work = self._masker.has_work
        self._keeps_words = mask is None
        for event in _HOOKED:
            event.model_rebuild()  # now, and not within the first call of a hook
        self._quarantined = 0
        self._dropped = 0
        self._unknown_words = 0
        self._misfits = 0
        self._warned_of: set[str] = set()
        self._warned_at = float("-inf")
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        self._recorded_pools: set[str] = set()

    def stats(self) -> CaptureStats:
        """Return what has been captured, quarantined, dropped and written so far."""
        spool = self._spool
        return CaptureStats(
            spool.lines - self._quarantined,
            self._quarantined,
            self._dropped,
            spool.written_bytes,
            self._unknown_words,
            self._misfits,
        )

    def close(self) -> None:
        """End the current segment. Calling it twice is harmless; a later event reopens."""
        try:
            self._spool.close()
        except OSError as error:
            self.warn("cannot close the spool: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def record(
        self, cls: type[E], given: object, fields: dict[str, Any], *, is_read: bool = False
    ) -> E | None:
        """Record an event; return it once the operating system holds it, else None.

        While the interpreter ends the answer is None, and the loader validates what is written.

        Args:
            cls: the event's class; `Event` takes what `given` is.
            given: an event, a record, a mapping, or any object with the fields as attributes.
            fields: further fields; they win over `given`.
            is_read: whether `event_fields` has read the host's numbers already.
        """
        if self._is_ending():
            self._record_late(cls, given, fields)
            return None
        reading = self._once_read if is_read else self.reading
        try:
            event = direct(cls, given, fields, reading)
            if event is None:
                event = build(cls, given, fields, reading)
            line = event.__pydantic_serializer__.to_json(event)
            if self._has_work(line):
                event = self._masker.masked(event)
                line = event.to_line()
            if len(line) >= MAX_LINE_BYTES:
                raise InvalidEventError(
                    f"{len(line)} bytes exceed the line limit of {MAX_LINE_BYTES}"
                )
        except Exception as error:
            reason = reason_of(error)
            if self.is_strict:
                raise InvalidEventError(f"{cls.__name__}: {reason}") from error
            self._quarantine(cls, given, fields, reason)
            if isinstance(error, UnknownWordError):
                self._count_unknown(reason)
            return None
        try:
            self._spool.append(line)
        except SpoolWriteError as error:
            if self.is_strict:
                raise
            self._drop(error)
            return None
        if cls is RoutingDecision or cls is Event or self._listeners:
            self._follow_up(event)
        return event

    def as_written(self, event: E) -> E:
        """Return an event as its line says it, with its secrets masked."""
        return self._masker.masked(event)

    def _record_late(self, cls: type[Event], given: object, fields: dict[str, Any]) -> None:
        """Record what the loader is to validate, or count it as dropped; a log may be gone too."""
        try:
            self._spool.append(late_line(cls, given, fields, keeps_words=self._keeps_words))
        except Exception:
            self._dropped += 1

    def _follow_up(self, event: Event) -> None:
        """Let the running code know its decision, and the listeners what was recorded."""
        try:
            if isinstance(event, RoutingDecision):
                decided(event)
            for listener in self._listeners:
                listener(event)
        except Exception as error:  # the event is stored; the rest must not reach the host
            self.warn("cannot announce an event: %s", type(error))

    def _quarantine(
        self, cls: type[Event], given: object, fields: dict[str, Any], reason: str
    ) -> None:
        try:
            refused = refusal(cls, given, fields, reason, self._masker)
            self._spool.append(refused.to_line())
        except Exception as error:  # the last resort of a hook that must not raise
            self._drop(error)
            return
        self._quarantined += 1
        self.warn("quarantined a %s: %s", refused.claimed_type, refused.reason)

    def _count_unknown(self, reason: str) -> None:
        """Count a status word that nobody knows, and tell once how it is taught."""
        self._unknown_words += 1
        self._warn_once(reason.partition(";")[0], reason)

    def _note_misfit(self, field: str, reason: str) -> None:
        if self.is_strict:
            raise InvalidEventError(reason)
        self._misfits += 1
        self._warn_once(field, f"{reason}; further values of it are not told")

    def _warn_once(self, what: str, reason: str) -> None:
        if what not in self._warned_of and len(self._warned_of) < MAX_WARNED_OF:
            self._warned_of.add(what)
            # First: half a secret looks like none.
            told = printable(self._masker.text(clean_text(reason)))
            logger.warning("%s", f"{told[:60]}…{told[-400:]}" if len(told) > MAX_TOLD else told)

    def _drop(self, error: Exception) -> None:
        self._dropped += 1
        if isinstance(error, SpoolWriteError):
            self.warn("event dropped: %s", error)
        else:
            self.warn("event dropped, not even its refusal can be written: %s", type(error))

    def will_record_pool(self, pool_id: object) -> None:
        """Remember that an instrumented pool manager runs this pool."""
        if isinstance(pool_id, str) and len(self._recorded_pools) < MAX_RECORDED_POOLS:
            self._recorded_pools.add(pool_id)

    def records_pool(self, pool_id: object) -> bool:
        """Tell whether every execution on this pool is recorded by its manager's own calls."""
        return isinstance(pool_id, str) and pool_id in self._recorded_pools

    def warn(self, message: str, *values: object) -> None:
        """Log a warning, at most once a minute; a class is named, its secrets masked."""
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_SECONDS:
            self._warned_at = now
            told = (
                self._masker.text(clean_text(repr(value)))
                if isinstance(value, type)
                else str(value)
                for value in values
            )
            logger.warning(
                message + " (further warnings are held back for a minute)", *map(printable, told)
            )
