"""The machine: whatever happens to spool, loads, runs and publications, the marts equal the oracle.

Each rule is something that a host, an operator or a power button does. What the product was told
is kept beside it, in plain Python, and compared after every run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from orb_learning import Telemetry, _faults
from orb_learning.events import Event, RoutingDecision, TaskErased, content_hash

from .drivers import Driver, attached, publication_id, published
from .oracle import expected
from .strategies import NOW, TASKS, captured, events, linked, moments, skewed_moments, tasks
from .tables import Tables, assert_same

LEDGER = """
select
    (select (coalesce(sum(lines), 0), coalesce(sum(quarantined), 0)) from ledger.segments),
    (select (coalesce(sum(lines), 0), count(*)) from ledger.loads),
    (select coalesce(max(load_id), 0) from ledger.loads),
    (select count(*) from ledger.quarantine),
    (select count(*) from ledger.segments where lines != loaded + duplicates + quarantined),
    (select coalesce(sum(loaded), 0) from ledger.loads)
"""
BAD_LINES = (b"", b"not json", b"{}", b'{"event_type":"feedback"}', b'{"event_id":"x"}', b"\xff")
picks = st.integers(0, 2**16)


class Machine(RuleBasedStateMachine):
    """Subclasses say which driver runs the models, and where."""

    folder: Path
    make: Callable[[Path], Driver]
    statements = 170
    """About as many as a run executes: a run may die before any of them."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=self.folder))
        self.driver = type(self).make(self.root / "home")
        self.home = self.driver.home
        self.home.create()
        self.telemetry = Telemetry(self.home.root, strict=True)
        self.told: list[Event] = []
        self.erased: set[UUID] = set()
        self.lines = self.files = 0
        self.bad: list[bytes] = []
        self.half: tuple[int, Event, int] | None = None
        self.was_published = ""
        self.may_miss = False

    # -- what hosts do --------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        self.telemetry.capture_sync(event)
        self.note(event)

    def note(self, event: Event) -> None:
        self.lines += 1
        if not isinstance(event, TaskErased):
            self.told.append(event)

    def named(self, event: Event, high: int) -> Event:
        """Give the event an id that does not rise with the order of emission."""
        serial = self.lines + len(self.told) + 1
        named = event.model_copy(update={"event_id": UUID(int=(high << 64) + serial)})
        return linked(named, self.told)

    @initialize(drawn=st.lists(st.tuples(events(), st.integers(1, 3)), min_size=12, max_size=20))
    def emit_first(self, drawn: list[tuple[Event, int]]) -> None:
        self.emit(drawn)

    @rule(drawn=st.lists(st.tuples(events(), st.integers(1, 3)), min_size=3, max_size=8))
    def emit(self, drawn: list[tuple[Event, int]]) -> None:
        for event, high in drawn:
            self.tell(self.named(event, high))

    @rule(drawn=st.lists(st.tuples(events(occurred=skewed_moments), picks), min_size=1, max_size=3))
    def emit_by_a_skewed_clock(self, drawn: list[tuple[Event, int]]) -> None:
        for event, high in drawn:
            self.tell(self.named(event, high))

    @precondition(lambda self: self.told)
    @rule(
        pick=picks, later=moments, seen=captured, score=st.integers(0, 100), same_id=st.booleans()
    )
    def correct(self, pick: int, later: Any, seen: Any, score: int, same_id: bool) -> None:
        event = self.told[pick % len(self.told)]
        changed: dict[str, Any] = {"occurred_at": later, "captured_at": seen}
        changed |= {"quality_score": score} if hasattr(event, "quality_score") else {}
        corrected = event.model_copy(update=changed)
        # What differs by `captured_at` alone is one event.
        known = {(e.event_id, content_hash(e.to_line())) for e in self.told}
        if not same_id:
            self.tell(self.named(corrected, pick % 3 + 1))
        elif (corrected.event_id, content_hash(corrected.to_line())) not in known:
            self.tell(corrected)

    @precondition(lambda self: self.told)
    @rule(pick=picks, seconds=st.integers(-1, 1), tier=st.sampled_from(["small", "large"]))
    def move_to_another_group(self, pick: int, seconds: int, tier: str) -> None:
        about: Any = self.told[pick % len(self.told)]
        moved = RoutingDecision(
            task_id=about.task_id,
            attempt=about.attempt,
            occurred_at=about.occurred_at + timedelta(seconds=seconds),
            captured_at=NOW,
            task_type="fix",
            repo="c",
            model_tier=tier,
        )
        self.tell(self.named(moved, pick % 3 + 1))

    @precondition(lambda self: self.told)
    @rule(chosen=st.lists(picks, min_size=1, max_size=4))
    def duplicate_in_another_segment(self, chosen: list[int]) -> None:
        lines = [self.told[pick % len(self.told)].to_line() for pick in chosen]
        self.write(b"".join(line + b"\n" for line in lines))
        self.lines += len(lines)

    @rule(task=tasks, moment=moments)
    def erase(self, task: UUID, moment: Any) -> None:
        if len(self.erased) < len(TASKS) // 2:
            self.erased.add(task)
            self.tell(self.named(TaskErased(task_id=task, occurred_at=moment), 1))

    @rule()
    def rotate(self) -> None:
        self.telemetry.close()
        self.telemetry = Telemetry(self.home.root, strict=True)

    # -- what befalls the spool -----------------------------------------------------------

    def write(self, data: bytes) -> Path:
        self.files += 1
        path = self.home.spool / f"{'09az'[self.files % 4]}-{self.files:04}.jsonl"
        path.write_bytes(data)
        return path

    @rule(bad=st.lists(st.sampled_from(BAD_LINES), max_size=2), event=events(), cut=picks)
    def tear(self, bad: list[bytes], event: Event, cut: int) -> None:
        """A segment with bad lines whose writer died in the middle of its last line."""
        torn = self.named(event, 1).to_line()
        torn = torn[: 1 + cut % (len(torn) - 1)]
        self.write(b"".join(line + b"\n" for line in bad) + torn)
        self.lines += len(bad) + 1
        self.bad += [*bad, torn]

    @precondition(lambda self: self.half is None)
    @rule(event=events(), cut=picks)
    def begin_a_line(self, event: Event, cut: int) -> None:
        """A writer that lives has written half a line."""
        event = self.named(event, 2)
        line = event.to_line()
        cut = 1 + cut % len(line)
        fd = os.open(self.write(line[:cut]), os.O_WRONLY | os.O_APPEND)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.half = fd, event, cut

    @precondition(lambda self: self.half is not None)
    @rule(is_finished=st.booleans())
    def end_the_line(self, is_finished: bool) -> None:
        """It writes the rest, or dies."""
        assert self.half is not None
        fd, event, cut = self.half
        self.half = None
        if is_finished:
            os.write(fd, event.to_line()[cut:] + b"\n")
            self.note(event)
        else:
            self.lines += 1
            self.bad.append(event.to_line()[:cut])
        os.close(fd)

    # -- what operators and power buttons do ----------------------------------------------

    @rule()
    def load(self) -> None:
        self.driver.load()
        self.check_the_ledger()

    @rule(days=st.sampled_from([0, 0, 1, -7, -31, 60]), publishes=st.booleans())
    def run(self, days: int, publishes: bool) -> None:
        self.driver.run(days, publishes=publishes)
        self.check_the_ledger()
        found = self.driver.tables()
        self.was_published = publication_id(self.home)
        assert_same(found, self.expected(days), "after a run")
        shown = {
            row[0] for rows in ("executions", "pending_executions", "tasks") for row in found[rows]
        }
        assert not self.erased & (shown | {row[1] for row in found["feedback"]})

    @rule(
        drawn=st.lists(st.tuples(events(), st.integers(1, 3)), max_size=3),
        days=st.sampled_from([0, 0, 1, -7, -31, 60]),
    )
    def emit_late_and_run(self, drawn: list[tuple[Event, int]], days: int) -> None:
        self.emit(drawn)
        self.run(days, publishes=False)

    @rule(
        point=st.sampled_from(_faults.POINTS) | st.just(""),
        dies_at=picks,
        days=st.sampled_from([0, -7]),
    )
    def crash(self, point: str, dies_at: int, days: int) -> None:
        """Die at a crash point, in a load or a run, or before any of a run's statements."""
        # What is blanked and not yet noted is passed over by the next load.
        self.may_miss |= bool(self.erased) and point == "load.blanked"
        if not point:
            number = 1 + dies_at % self.statements
            self.in_a_child("", lambda: self.driver.run(days, dies_at=number))
        elif point.startswith("load.") and dies_at % 2:
            self.in_a_child(point, self.driver.load)
        else:
            self.in_a_child(point, lambda: self.driver.run(days))
        self.check_the_publication(days)

    def in_a_child(self, point: str, work: Callable[[], object]) -> None:
        """Work in a process that dies on its way, or ends well where it does not come by there."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _faults.arm(point)
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert ended in (0, -signal.SIGKILL), f"the process ended with {ended}"

    # -- what must hold -------------------------------------------------------------------

    def expected(self, days: int) -> Tables:
        return expected(self.told, self.erased, (NOW + timedelta(days=days)).date())

    def check_the_publication(self, days: int) -> None:
        """It is the old one, or the new one and whole."""
        found = publication_id(self.home)
        if found != self.was_published:
            assert_same(published(self.home), self.expected(days), "in a crash's publication")
            self.was_published = found

    def check_the_ledger(self) -> None:
        with attached(staging=self.home.staging) as staging:
            ((segments, loads, newest, quarantine, unbalanced, loaded),) = staging.execute(
                LEDGER
            ).fetchall()
        assert unbalanced == 0
        told = (self.lines, len(self.bad))
        assert segments == told or (self.may_miss and max(segments) <= self.lines), (
            "lines and bad lines by segments"
        )
        assert loads == (segments[0], newest), "lines by loads, and loads without a gap"
        erased = [str(task).encode() for task in self.erased]
        kept = [line for line in self.bad if not any(task in line for task in erased)]
        assert quarantine == len(kept), "bad lines, but those that name an erased task"
        if not self.erased:
            assert loaded == len({event.to_line() for event in self.told}), (
                "each event is loaded once"
            )

    def teardown(self) -> None:
        try:
            self.run((0, -31, 60)[self.lines % 3], publishes=self.lines % 2 == 0)
        finally:
            self.telemetry.close()
            if self.half:
                os.close(self.half[0])
            shutil.rmtree(self.root)
