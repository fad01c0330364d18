"""Forked processes that are killed, waited for, and told apart from those that hang.

A child says how far it is through one pipe and what it found through another. Random kills count
the bytes of the first: no timer decides when a process dies. The parent opens no database, so that
every child begins with what a fresh process has.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pickle
import random
import resource
import select
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANG_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a child ended: with a value, with an error, killed, or not at all.

    Attributes:
        peak_mb: mebibytes it took at most, beyond what it was forked with.
    """

    value: Any = None
    error: str = ""
    is_killed: bool = False
    is_hung: bool = False
    peak_mb: float = 0.0

    @property
    def is_done(self) -> bool:
        return not (self.error or self.is_killed or self.is_hung)


class Child:
    """A forked process, in a group of its own so that its own forks die with it."""

    def __init__(self, work: Callable[[int], Any]) -> None:
        """Fork; the child runs `work` with the descriptor it tells its progress to."""
        self._told, tell = os.pipe()
        # A socket, which `send` writes to, so that what is done to `write` does not hit the answer.
        mine, other = socket.socketpair()
        self._result, answer = mine.detach(), other.detach()
        # A child cannot run far ahead of who counts what it tells.
        fcntl.fcntl(tell, fcntl.F_SETPIPE_SZ, 4096)
        sys.stdout.flush()
        sys.stderr.flush()
        self._inherited_mb = _resident_mb()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.close(self._told)
            os.close(self._result)
            _work_and_exit(work, tell, answer)
        with contextlib.suppress(OSError):  # the child may have done it, or be gone
            os.setpgid(self.pid, self.pid)
        os.close(tell)
        os.close(answer)
        self.is_ended = False

    def read(self, size: int, seconds: float = HANG_SECONDS) -> bytes:
        """Return `size` bytes of what it tells; fewer when it ended, or hangs."""
        return _read(self._told, size, time.monotonic() + seconds)

    def drain(self) -> bytes:
        """Return what it has told and nobody has read, so that it runs on."""
        parts = []
        while select.select([self._told], [], [], 0)[0] and (data := os.read(self._told, 65536)):
            parts.append(data)
        return b"".join(parts)

    def kill(self) -> bool:
        """End it and what it forked as `kill -9` does; return whether it still lived."""
        if self.is_ended:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._reap()[0]

    def wait(self, seconds: float = HANG_SECONDS) -> Ended:
        """Wait for its end; one that takes too long hangs, and is killed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._told, self._result], [], [], 1.0)
            if self._told in ready and not os.read(self._told, 65536):
                break
            if self._result in ready:
                break
        data = _read(self._result, sys.maxsize, deadline)
        if time.monotonic() >= deadline:
            self.kill()
            self.close()
            return Ended(is_hung=True)
        is_killed, peak = self._reap()
        self.close()
        if is_killed:
            return Ended(is_killed=True, peak_mb=peak)
        value, error = pickle.loads(data) if data else (None, "it ended without an answer")
        return Ended(value, error, peak_mb=peak)

    def close(self) -> None:
        """Let go of the pipes; what was told and not read is gone."""
        for fd in (self._told, self._result):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._told = self._result = -1

    def _reap(self) -> tuple[bool, float]:
        if self.is_ended:
            return False, 0.0
        self.is_ended = True
        _, status, usage = os.wait4(self.pid, 0)
        return os.WIFSIGNALED(status), usage.ru_maxrss / 1024 - self._inherited_mb


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def call(work: Callable[[], Any], seconds: float = HANG_SECONDS) -> Ended:
    """Run something in a process of its own to its end, whichever that is."""
    return Child(lambda _: work()).wait(seconds)


def pulse(tell: int, every: int = 1) -> None:
    """From here on, write a byte for every so many calls that any thread makes or returns from."""
    left = every

    def note(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            left = every
            os.write(tell, b".")

    threading.setprofile(note)
    sys.setprofile(note)


def pulse_at_events(tell: int) -> None:
    """From here on, write a byte for each file opened, text compiled, module looked for.

    That costs long work much less than `pulse` does; it cannot be ended.
    """

    def note(event: str, _: Any) -> None:
        if event != "builtins.id":
            os.write(tell, b".")

    sys.addaudithook(note)


class Pace:
    """How many pulses a kind of work has, learnt from the first one that is left to end."""

    def __init__(self, **known: int) -> None:
        self._known = known

    def kill_at_random(
        self, kind: str, work: Callable[[], Any], chance: random.Random, *, every: int = 1
    ) -> Ended:
        """Run work and kill it after a random number of pulses; the first of a kind may end.

        With `every` 0 the pulses are those of `pulse_at_events`.
        """

        def aloud(tell: int) -> Any:
            if every:
                pulse(tell, every)
            else:
                pulse_at_events(tell)
            try:
                return work()
            finally:
                sys.setprofile(None)
                threading.setprofile(None)

        share = chance.random()
        spins = chance.choice((0, 0, chance.randrange(300), chance.randrange(20_000)))
        if not every:
            spins *= 100
        child = Child(aloud)
        if kind not in self._known:
            pulses = 0
            while data := child.read(65536):
                pulses += len(data)
                if len(data) < 65536:
                    break
            ended = child.wait()
            self._known[kind] = max(pulses, 1)
            return ended
        wanted = max(1, int(share * self._known[kind] * 1.02))
        if len(child.read(wanted)) == wanted:
            for _ in range(spins):  # into the middle of a call into DuckDB or the system
                pass
            if child.kill():
                child.close()
                return Ended(is_killed=True)
            child.close()
            return Ended()
        return child.wait()


def _read(fd: int, size: int, deadline: float) -> bytes:
    parts = []
    while size > 0:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        data = os.read(fd, min(size, 1 << 20))
        if not data:
            break
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _work_and_exit(work: Callable[[int], Any], tell: int, answer: int) -> None:
    code = 1
    try:
        if "coverage" in sys.modules and (measured := sys.modules["coverage"].Coverage.current()):
            measured.stop()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        logging.disable()  # what is refused is counted here, and not told
        try:
            said = (work(tell), "")
        except BaseException as error:
            text = " ".join(str(error).split())
            said = (None, f"{type(error).__name__}: {text}")
            if not isinstance(error, Exception) or os.environ.get("FAULTS_TRACEBACKS"):
                traceback.print_exc()
        sys.setprofile(None)
        with socket.socket(fileno=answer) as sender:
            sender.sendall(pickle.dumps(said))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)
