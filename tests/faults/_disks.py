"""Small disks, disks that cannot be written, and system calls that fail: the real ones."""

from __future__ import annotations

import functools
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ._processes import Child, Ended


@functools.cache
def no_mounts() -> str:
    """Return why no file system can be mounted here, or an empty text."""
    with tempfile.TemporaryDirectory() as folder:
        done = _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        if done.returncode:
            return f"a small file system cannot be mounted: {done.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return ""


@functools.cache
def no_injection() -> str:
    """Return why system calls cannot be made to fail here, or an empty text."""
    if not shutil.which("strace"):
        return "strace is not installed"
    with tempfile.TemporaryDirectory() as folder:
        ended, hits = injected(os.getppid, "getppid", "error=EPERM", "1", Path(folder))
    return "" if ended.is_done and hits else f"strace cannot inject faults: {ended}"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system that is small and soon full."""
    folder.mkdir()
    done = _mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder))
    done.check_returncode()
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def set_writable(disk: Path, writable: bool) -> None:
    """Let a mounted disk be written, or not."""
    _mount("-o", f"remount,{'rw' if writable else 'ro'}", str(disk)).check_returncode()


class Ballast:
    """A file that leaves only so much room on a disk, until it is let go."""

    def __init__(self, disk: Path, room: int) -> None:
        self._path = disk / "ballast"
        with self._path.open("wb") as file:
            for _ in range(10):
                found = os.statvfs(disk)
                size = found.f_bavail * found.f_frsize - room
                # Others may take some of it at the same time.
                with suppress(OSError):
                    if size > 0:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)

    def let_go(self) -> None:
        self._path.unlink(missing_ok=True)


CHANGES = (
    *("pwrite64", "pwrite64", "write", "fsync,fdatasync", "ftruncate"),
    *("rename,renameat,renameat2", "unlink,unlinkat", "symlink,symlinkat", "chmod,fchmod,fchmodat"),
)
"""System calls that change something on a disk."""


def killed_at_a_call(work: Callable[[], Any], chance: random.Random, folder: Path) -> Ended:
    """Run work and kill it as it enters some system call that would change something."""
    when = str(int(2 ** chance.uniform(0, 5)))
    return injected(work, chance.choice(CHANGES), "signal=SIGKILL", when, folder)[0]


def injected(
    work: Callable[[], Any], calls: str, fault: str, when: str, folder: Path
) -> tuple[Ended, int]:
    """Run work while some of its system calls fail, or kill it; return its end, and how many."""
    may_go, go = os.pipe()
    trace = folder / "trace"

    def wait_and_work(_: int) -> Any:
        os.close(go)
        os.read(may_go, 1)
        return work()

    child = Child(wait_and_work)
    os.close(may_go)
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", str(trace), "-e", f"trace={calls}",
         "-e", f"inject={calls}:{fault}:when={when}", "-p", str(child.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    for line in tracer.stderr:
        if "attached" in line:
            break
    else:
        os.close(go)
        child.kill()
        child.close()
        tracer.wait()
        return Ended(error="strace could not attach"), 0
    os.close(go)
    ended = child.wait()
    tracer.stderr.read()
    tracer.stderr.close()
    tracer.wait()
    hits = len(re.findall(r"\(INJECTED\)", trace.read_text(errors="replace")))
    trace.unlink()
    return ended, hits


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
