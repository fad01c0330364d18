"""F6 and F7: disks that are full or broken, and everything else the system may refuse."""

from __future__ import annotations

import random
import resource
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from orb_learning import Telemetry
from orb_learning import errors as product_errors
from orb_learning.capture._spool import RECHECK_SECONDS
from orb_learning.home import Home
from orb_learning.staging import load

from . import _loading, _publishing
from ._disks import Ballast, injected, no_injection, no_mounts, set_writable, small_disk
from ._homes import audit, settle
from ._processes import Ended, call
from ._result import Result

MEGABYTES = 12
CLEAR = tuple(name for name in vars(product_errors) if name.endswith("Error"))
"""What a load or a publish may raise: an error of ours, in one line that says what to do."""


@dataclass(frozen=True)
class Captured:
    """What one producer got back from its hooks."""

    acknowledged: set[UUID]
    refused: int
    dropped: int
    raised: list[str]


def capture_some(
    home: Home,
    seed: int,
    events: int,
    *,
    threads: int = 1,
    largest: int = 4000,
    between: Callable[[int], None] = lambda number: None,
) -> Captured:
    """Capture from some threads, and call back before each event of the first."""
    telemetry = Telemetry(home.root, max_segment_bytes=random.Random(seed).choice((9000, 1 << 26)))
    acknowledged: set[UUID] = set()
    refused: list[int] = []
    raised: list[str] = []

    def work(thread: int) -> None:
        chance = random.Random(seed * 8 + thread)
        for number in range(events):
            if thread == 0:
                between(number)
            text = "x" * chance.choice((0, 10, 300, chance.randrange(largest)))
            try:
                event = telemetry.capture_routing_outcome_sync(
                    task_id=UUID(int=chance.getrandbits(128)), success=True, solution_summary=text
                )
            except Exception as error:
                raised.append(repr(error))
                continue
            if event is None:
                refused.append(number)
            else:
                acknowledged.add(event.event_id)

    others = [threading.Thread(target=work, args=(thread,)) for thread in range(1, threads)]
    for other in others:
        other.start()
    work(0)
    for other in others:
        other.join()
    return Captured(acknowledged, len(refused), telemetry.stats().dropped, raised)


def check_captured(
    result: Result, home: Home, ended: Ended, what: str, before: set[UUID] | None = None
) -> None:
    """Compare what hooks said with what is loaded once nothing is refused any more."""
    if ended.is_hung:
        result.hang(what)
        return
    if not ended.is_done:
        result.fail(f"{what}: the producer failed: {ended.error}")
        return
    captured: Captured = ended.value
    result.faults += captured.refused > 0
    for text in captured.raised:
        result.fail(f"{what}: a hook raised {text}")
    if captured.refused != captured.dropped:
        result.fail(f"{what}: {captured.refused} refused, {captured.dropped} counted as dropped")
    settle(result, f"{what}: the load afterwards", lambda: load(home))
    audit(result, home, captured.acknowledged | (before or set()), what, also=set())


def check_error(result: Result, ended: Ended, what: str) -> None:
    """See that a refused load or publish said so in one clear line."""
    if ended.is_hung:
        result.hang(what)
    elif ended.is_killed:
        result.fail(f"{what}: it died of a signal")
    elif ended.error and not ended.error.startswith(CLEAR):
        result.fail(f"{what}: no error of ours: {ended.error}")


def full(seed: int, folder: Path) -> Result:
    """Fill the disk, or limit the size of files, while something is captured, loaded, published."""
    chance = random.Random(seed)
    result = Result(trials=1)
    stage = chance.choice((_capture_full, _load_full, _publish_full))
    if not no_mounts() and chance.random() < 0.7:
        with small_disk(folder / "disk", MEGABYTES) as disk:
            stage(disk, chance, result, is_limited=False)
    else:
        stage(folder, chance, result, is_limited=True)
    return result


def _limit(size: int) -> None:
    """Let no file grow beyond a size; a write that would is cut short, or refused."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _capture_full(disk: Path, chance: random.Random, result: Result, *, is_limited: bool) -> None:
    home = Home(disk / "home")
    seed, threads = chance.randrange(1 << 30), chance.choice((1, 2, 4))
    events = 300
    frees_at = chance.randrange(events)

    def work() -> Captured:
        if is_limited:
            _limit(chance.randrange(600, 6000))
            return capture_some(home, seed, events, threads=threads, largest=9000)
        ballast = Ballast(disk, chance.randrange(0, 400_000))

        def between(number: int) -> None:
            if number == frees_at:
                ballast.let_go()

        return capture_some(home, seed, events, threads=threads, between=between)

    ended = call(work)
    (disk / "ballast").unlink(missing_ok=True)
    check_captured(result, home, ended, "capture on a full disk")


def _load_full(disk: Path, chance: random.Random, result: Result, *, is_limited: bool) -> None:
    written = _loading.Written(Home(disk / "home"), chance)
    written.write()
    is_first = chance.random() < 0.5
    if not is_first:
        settle(result, "the load before", lambda: load(written.home))
        written.write()
    room = chance.randrange(0, 4_000_000 if is_first else 400_000)

    def work() -> Any:
        if is_limited:
            _limit(room)
        return load(written.home)

    ballast = Ballast(disk, room) if not is_limited else None
    ended = call(work)
    result.faults += bool(ended.error)
    check_error(result, ended, "load on a full disk")
    if chance.random() < 0.3:
        check_error(result, call(work), "load on a disk that is still full")
    if ballast:
        ballast.let_go()
    _loading.check(result, written, "load on a full disk")


def _publish_full(disk: Path, chance: random.Random, result: Result, *, is_limited: bool) -> None:
    home = Home(disk / "home")
    settle(result, "the home", lambda: _publishing.prepare(home))
    settle(result, "the publish before", lambda: _publishing.publish_run(home, 1))
    room = chance.randrange(0, 3_000_000)

    def work() -> Any:
        if is_limited:
            _limit(room)
        return _publishing.publish_run(home, 2)

    ballast = Ballast(disk, room) if not is_limited else None
    ended = call(work)
    result.faults += bool(ended.error)
    # Before there is something to publish, this is DuckDB's own refusal to fill the warehouse.
    if ended.is_hung or ended.is_killed:
        check_error(result, ended, "publish on a full disk")
    before = _publishing.check(home, 1, 2, result, "publish on a full disk")
    if ballast:
        ballast.let_go()
    _publishing.finish(home, before, 3, result, "publish on a full disk")


def refusing(seed: int, folder: Path) -> Result:
    """Let system calls fail, directories vanish, descriptors run out, the disk be read-only."""
    chance = random.Random(seed)
    result = Result(trials=1)
    kinds: list[Callable[[Path, random.Random, Result], None]] = [_moved, _removed, _no_descriptors]
    if not no_mounts():
        kinds.append(_read_only)
    if not no_injection():
        kinds += [_injected_capture, _injected_load, _injected_load, _injected_publish]
    chance.choice(kinds)(folder, chance, result)
    return result


def _moved(folder: Path, chance: random.Random, result: Result) -> None:
    """Another name for the spool while hooks write; what is in either is owed."""
    home = Home(folder / "home")
    seed, at = chance.randrange(1 << 30), chance.randrange(200)

    def between(number: int) -> None:
        if number == at:
            home.spool.rename(folder / "moved")

    ended = call(lambda: capture_some(home, seed, 200, threads=2, between=between))
    result.faults += 1
    home.create()
    for segment in (folder / "moved").iterdir():
        segment.rename(home.spool / segment.name)
    check_captured(result, home, ended, "capture into a spool that was moved")


def _removed(folder: Path, chance: random.Random, result: Result) -> None:
    """Remove the spool with all it held; a moment later hooks write into a new one."""
    home = Home(folder / "home")
    seed = chance.randrange(1 << 30)

    def between(number: int) -> None:
        if number == 20:
            shutil.rmtree(home.spool)
            until = time.monotonic() + 2 * RECHECK_SECONDS
            while time.monotonic() < until:
                pass

    def work() -> Captured:
        first = capture_some(home, seed, 1)  # so that the spool is there to be removed
        later = capture_some(home, seed, 60, between=between)
        return Captured(set(), later.refused, later.dropped, first.raised + later.raised)

    ended = call(work)
    result.faults += 1
    settle(result, "the load after the spool was removed", lambda: load(home))
    found = audit(result, home, set(), "capture into a spool that was removed")
    if found and found.ids.total() != 40:
        result.lose(40 - found.ids.total(), "captured after the spool was removed")
    if not ended.is_done or ended.value.raised or ended.value.refused:
        result.fail(f"capture into a spool that was removed: {ended}")


def _no_descriptors(folder: Path, chance: random.Random, result: Result) -> None:
    home = Home(folder / "home")
    seed, until = chance.randrange(1 << 30), chance.randrange(1, 150)
    since = chance.choice((0, chance.randrange(until)))

    def work() -> Captured:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = len(list(Path("/proc/self/fd").iterdir())) + chance.randrange(3)

        def between(number: int) -> None:
            if number in (since, until):
                wanted = soft if number == until else taken
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

        return capture_some(home, seed, 200, threads=2, between=between)

    check_captured(result, home, call(work), "capture without descriptors")


def _read_only(folder: Path, chance: random.Random, result: Result) -> None:
    seed = chance.randrange(1 << 30)
    with small_disk(folder / "disk", MEGABYTES) as disk:
        home = Home(disk / "home")
        first = settle(result, "the first", lambda: capture_some(home, seed, 3))
        set_writable(disk, False)
        ended = call(lambda: capture_some(home, seed, 3))
        check_error(result, loaded := call(lambda: load(home)), "load on a read-only disk")
        result.faults += bool(loaded.error)
        set_writable(disk, True)
        if ended.is_done and ended.value.acknowledged:
            result.fail("a read-only disk took an event")
        before = first.acknowledged if first else set()
        check_captured(result, home, ended, "capture on a read-only disk", before)


def _injected_capture(folder: Path, chance: random.Random, result: Result) -> None:
    home = Home(folder / "home")
    seed = chance.randrange(1 << 30)
    calls = chance.choice(("write", "rename,renameat,renameat2", "flock", "fchmod", "mkdir"))
    error = chance.choice(("EIO", "ENOSPC", "EDQUOT"))
    first = chance.randrange(1, 40 if calls == "write" else 4)
    when = f"{first}{chance.choice(('', '+', '+3'))}"
    ended, hits = injected(lambda: capture_some(home, seed, 50), calls, error, when, folder)
    result.faults += hits > 0
    check_captured(result, home, ended, f"capture with {error} of {calls} {when}")


def _failure(chance: random.Random) -> tuple[str, str, str]:
    calls = chance.choice(
        ("pwrite64", "write", "fsync,fdatasync", "ftruncate", "rename,renameat,renameat2", "unlink")
    )
    when = f"{int(2 ** (chance.random() * 6))}{chance.choice(('', '', '+'))}"
    return calls, chance.choice(("EIO", "ENOSPC")), when


def _injected_load(folder: Path, chance: random.Random, result: Result) -> None:
    written = _loading.Written(Home(folder / "home"), chance)
    written.write()
    if chance.random() < 0.5:
        settle(result, "the load before", lambda: load(written.home))
        written.write()
    calls, error, when = _failure(chance)
    ended, hits = injected(lambda: load(written.home), calls, error, when, folder)
    result.faults += hits > 0
    what = f"load with {error} of {calls} {when}"
    check_error(result, ended, what)
    _loading.check(result, written, what)


def _injected_publish(folder: Path, chance: random.Random, result: Result) -> None:
    home = Home(folder / "home")
    settle(result, "the home", lambda: _publishing.prepare(home))
    settle(result, "the publish before", lambda: _publishing.publish_run(home, 1))
    calls, error, when = _failure(chance)
    if chance.random() < 0.3:
        calls = chance.choice(("symlink,symlinkat", "mkdir,mkdirat", "chmod,fchmodat"))
    work = lambda: _publishing.publish_run(home, 2)  # noqa: E731
    ended, hits = injected(work, calls, error, when, folder)
    result.faults += hits > 0
    what = f"publish with {error} of {calls} {when}"
    if ended.is_hung or ended.is_killed:
        check_error(result, ended, what)
    before = _publishing.check(home, 1, 2, result, what)
    _publishing.finish(home, before, 3, result, what)
