"""F7: system calls that fail, directories that vanish, descriptors that run out."""

from __future__ import annotations

import random
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from orb_learning.home import Home
from orb_learning.spool._writer import RECHECK_SECONDS
from orb_learning.upkeep import take_in

from . import _loading, _publishing
from ._disks import injected, no_injection, no_mounts, set_writable, small_disk
from ._homes import audit, settle
from ._processes import call
from ._refusing import MEGABYTES, Captured, capture_some, check_captured, check_error
from ._result import Result


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
    settle(result, "the load after the spool was removed", lambda: take_in(home))
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
        check_error(result, loaded := call(lambda: take_in(home)), "load on a read-only disk")
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
    ended, hits = injected(
        lambda: capture_some(home, seed, 50), calls, f"error={error}", when, folder
    )
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
        settle(result, "the load before", lambda: take_in(written.home))
        written.write()
    calls, error, when = _failure(chance)
    ended, hits = injected(lambda: take_in(written.home), calls, f"error={error}", when, folder)
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
    ended, hits = injected(work, calls, f"error={error}", when, folder)
    result.faults += hits > 0
    what = f"publish with {error} of {calls} {when}"
    if ended.is_hung or ended.is_killed:
        check_error(result, ended, what)
    before = _publishing.check(home, 1, 2, result, what)
    _publishing.finish(home, before, 3, result, what)
