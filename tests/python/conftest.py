"""What the tests of several folders share: a home, its spool read back, child processes."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import BaseModel

from commands import run
from orb_learning import Telemetry
from orb_learning.capture import _execution, _task_context
from orb_learning.events import Event, parse_line
from orb_learning.home import Home
from orb_learning.importer import ImportReport, import_files
from orb_learning.refresh import Refresher
from orb_learning.spool import open_segment, segment_names
from warm_dbt import keep_parse

__all__ = ["run"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that is not on disk yet."""
    return Home.locate(tmp_path / "home")


@pytest.fixture
def telemetry(home: Home) -> Iterator[Telemetry]:
    with Telemetry(home.root) as hooks:
        yield hooks


@pytest.fixture(autouse=True)
def no_task() -> None:
    """Begin each test outside any task, whatever the one before it has routed."""
    _task_context._current.set(None)
    _execution._running.set(None)
    _task_context._known.clear()


ARMS = {"small": (0.1, 6), "large": (3.0, 9), "new": (0.5, 10)}
"""Of each arm that `advised` has: USD a run, and how many of ten runs succeed."""


@pytest.fixture(autouse=True, scope="session")
def untraced_dbt() -> Iterator[None]:
    """dbt runs twice as fast where nobody measures which of its lines run."""
    invoke = Refresher.invoke

    def untraced(refresher: Refresher, *args: Any, **kwargs: Any) -> Any:
        ours, of_threads = sys.gettrace(), threading.gettrace()
        sys.settrace(None)
        threading.settrace(None)
        try:
            return invoke(refresher, *args, **kwargs)
        finally:
            threading.settrace(of_threads)
            sys.settrace(ours)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Refresher, "invoke", untraced)
        yield


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Refresher:
    """A refresher whose manifest others may share: one parse of the project for all tests."""
    refresher = Refresher(tmp_path_factory.mktemp("parsed") / "home")
    keep_parse(refresher)
    return refresher


@pytest.fixture
def parsed_already(parsed: Refresher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the manifest that others share to every refresher that a test makes without saying."""
    begin = Refresher.__init__

    def begun(refresher: Refresher, *args: Any, **kwargs: Any) -> None:
        begin(refresher, *args, **kwargs)
        refresher._manifest = parsed._manifest

    monkeypatch.setattr(Refresher, "__init__", begun)


@pytest.fixture(scope="session")
def refresh(parsed: Refresher) -> Callable[..., None]:
    """Return what loads, builds and publishes a home, as a scheduler does between its tests."""

    def refresh(root: Path, as_of: str | None = None) -> None:
        refresher = Refresher(root)
        refresher._manifest = parsed._manifest
        refresher.refresh(as_of=as_of, with_tests=False)

    return refresh


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Give the log back as it was: a command in this process says how it is written."""
    root = logging.getLogger("orb_learning")
    before = (root.handlers, root.level, root.propagate)
    yield
    root.handlers, root.propagate = before[0], before[2]
    root.setLevel(before[1])


@pytest.fixture
def recorded(telemetry: Telemetry, events_in: Any) -> Callable[[], list[Event]]:
    """Return the events in the spool, in the order in which they were recorded."""
    return lambda: events_in(telemetry.home.spool)


@pytest.fixture(scope="session")
def advised(tmp_path_factory: pytest.TempPathFactory, refresh: Callable[..., None]) -> Path:
    """A home whose runs tell of two arms, and too few of a third."""
    root = tmp_path_factory.mktemp("advised") / "home"
    now = datetime.now(UTC)
    with Telemetry(root, strict=True) as telemetry:
        for number in range(120):
            for arm, (cost, successes) in ARMS.items():
                if arm == "new" and number > 2:
                    continue
                telemetry.record_execution_sync(
                    task_id=f"{arm}-{number}",
                    timestamp=now - timedelta(hours=number, minutes=5),
                    task_type="bug_fix" if number % 3 else "docs\x1b[31m",
                    repo="acme/api",
                    task_group=f"ticket-{number}",
                    model_tier=arm,
                    success=number % 10 < successes,
                    actual_cost=cost,
                )
    refresh(root)
    return root


@pytest.fixture(scope="session")
def lines_in() -> Callable[[Path], list[bytes]]:
    """Return a spool's whole lines, in the order of its segments; a torn line is a failure."""

    def read(spool: Path) -> list[bytes]:
        lines = []
        for name in segment_names(spool):
            data = (spool / name).read_bytes()
            assert data.endswith(b"\n"), f"{name} ends within a line"
            lines += data.split(b"\n")[:-1]
        return lines

    return read


@pytest.fixture(scope="session")
def whole_lines_in() -> Callable[[Path], list[bytes]]:
    """Return what the loader reads as whole lines from a spool whose writers may have died."""

    def read(spool: Path) -> list[bytes]:
        lines = []
        for name in segment_names(spool):
            segment = open_segment(spool, name)
            assert segment is not None
            try:
                lines += [line.data for line in segment.lines(0) if not line.fault]
            finally:
                segment.close()
        return lines

    return read


@pytest.fixture(scope="session")
def events_in(lines_in: Callable[[Path], list[bytes]]) -> Callable[[Path], list[Event]]:
    """Return a spool's events, in the order of its segments."""
    return lambda spool: [parse_line(line) for line in lines_in(spool)]


Steps = list[tuple[str, Path]]


@pytest.fixture
def disk_steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Return what is forced to the disk and what gets another file's name, in that order.

    A step is `sync`, `rename` or `replace`, and the path as it was before.
    """
    steps: Steps = []
    fsync = os.fsync

    def synced(fd: int) -> None:
        steps.append(("sync", Path(f"/proc/self/fd/{fd}").readlink()))
        fsync(fd)

    def watch(name: str) -> None:
        original = getattr(Path, name)

        def renamed(self: Path, target: Path) -> Path:
            steps.append((name, self))
            moved: Path = original(self, target)
            return moved

        monkeypatch.setattr(Path, name, renamed)

    monkeypatch.setattr(os, "fsync", synced)
    watch("rename")
    watch("replace")
    return steps


class Children:
    """Forked processes, each with a coverage of its own, none of which outlives its test."""

    def __init__(self) -> None:
        self._running: set[int] = set()

    def start(self, work: Callable[[], object]) -> int:
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads, which is what some tests are about.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _work_and_exit(work)
        self._running.add(pid)
        return pid

    def join(self, pid: int) -> None:
        """Wait for a child and fail if it failed."""
        self._running.discard(pid)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, "the child failed, see its traceback"

    def run(self, work: Callable[[], object]) -> None:
        self.join(self.start(work))

    def kill(self, pid: int) -> None:
        """End a child as `kill -9` does."""
        self._running.discard(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def kill_all(self) -> None:
        for pid in list(self._running):
            self.kill(pid)


def _work_and_exit(work: Callable[[], object]) -> None:
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        if "coverage" in sys.modules and (measured := sys.modules["coverage"].Coverage.current()):
            measured.stop()
            measured.save()
        os._exit(code)


@pytest.fixture
def children() -> Iterator[Children]:
    started = Children()
    yield started
    started.kill_all()


_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_amounts = st.floats(0, 1e9)
_counts = st.integers(0, 2**31 - 1)
_zones = st.timezones() | st.builds(
    timezone, st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes))
)
_times = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=_zones | st.just(UTC))
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


def _shares(weights: dict[str, float]) -> dict[str, float]:
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


_STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        ("event_id", "task_id", "feedback_id", "pattern_id", "policy_id", "decision_id"), st.uuids()
    ),
    "timestamp_source": st.just("captured"),
    "duration_source": st.just("measured"),
    **dict.fromkeys(
        ("occurred_at", "captured_at", "timestamp", "extracted_at", "last_adjusted"), _times
    ),
    **dict.fromkeys(("file_count", "estimated_tokens", "usage_count"), _counts),
    **dict.fromkeys(
        (
            "duration_seconds",
            "cost_estimate",
            "actual_cost",
            "peak_memory_mb",
            "cpu_time_seconds",
        ),
        _amounts,
    ),
    **dict.fromkeys(("routing_confidence", "success_rate", "coverage_threshold"), st.floats(0, 1)),
    **dict.fromkeys(("complexity_score", "quality_score"), st.integers(0, 100)),
    **dict.fromkeys(("success", "user_accepted"), st.booleans()),
    **dict.fromkeys(("rating", "user_rating"), st.integers(1, 5)),
    **dict.fromkeys(
        ("task_hash", "user_hash", "import_hash"),
        st.binary().map(lambda b: sha256(b).hexdigest()),
    ),
    "schema_version": st.just(1),
    "attempt": st.integers(1, 2**31 - 1),
    "propensity": st.floats(0, 1, exclude_min=True),
    "candidates": st.just({})
    | st.dictionaries(_texts, st.floats(1, 9), min_size=1, max_size=4).map(_shares),
    "project_maturity": st.sampled_from(["new", "stable", "mature"]),
    "strictness_level": st.sampled_from(["lenient", "standard", "strict"]),
    "error_type": st.sampled_from(["timeout", "quality_gate", "crash"]) | _texts,
    "repos_used_in": st.lists(_texts, max_size=3),
    "embedding": st.floats(-1, 1).map(lambda number: [number] * 384),
    "metadata": st.dictionaries(_texts, _json, max_size=3),
}


@pytest.fixture(scope="session")
def values_of() -> Callable[[type[BaseModel]], st.SearchStrategy[dict[str, Any]]]:
    """Return a strategy of valid field values for an event or record class."""

    def strategy(cls: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
        required: dict[str, st.SearchStrategy[Any]] = {}
        optional: dict[str, st.SearchStrategy[Any]] = {}
        for name, field in cls.model_fields.items():
            if name == "event_type":
                continue
            values = _STRATEGIES.get(name, _texts)
            if field.is_required():
                required[name] = values
            else:
                optional[name] = values | st.none() if field.default is None else values
        return st.fixed_dictionaries(required, optional=optional)

    return strategy


@pytest.fixture
def import_into(home: Home) -> Callable[..., ImportReport]:
    """Import files into the test's home."""

    def run(*paths: Path, **options: Any) -> ImportReport:
        with Telemetry(home.root) as telemetry:
            return import_files(telemetry, paths, **options)

    return run


@pytest.fixture(scope="session")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where converted models are kept: the first test that loads one converts it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(conversions: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(conversions))
    return conversions / "orb-learning"
