"""A load may be killed at any moment: the next one loses nothing and doubles nothing."""

from __future__ import annotations

import errno
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from orb_learning.errors import HomeError
from orb_learning.staging import _batch, _loader, load

EVENTS = 200
"""Each is written twice, and every tenth is followed by a bad line."""


@pytest.fixture
def lines(spool, pool) -> int:
    """Write three segments with events, duplicates and bad lines; return how many lines."""
    written: list[Any] = []
    for number in range(EVENTS):
        written += [pool(number), pool(number)]
        if number % 10 == 0:
            written.append(b"bad %d" % number)
    for index, name in enumerate(("a.jsonl", "b.jsonl", "c.jsonl")):
        spool.write(name, *written[index::3])
    return len(written)


@pytest.fixture
def all_is_loaded_once(staging, lines) -> Callable[[], None]:
    def check() -> None:
        staging.load()
        assert staging.pools() == [f"pool-{number:04}" for number in range(EVENTS)]
        assert len(staging.reasons()) == EVENTS // 10
        assert staging.query("select sum(lines) from ledger.loads") == [(lines,)]

    return check


class Watched:
    """A connection that calls back before and after each statement."""

    def __init__(self, connection: Any, call: Callable[[str], None]) -> None:
        self._connection = connection
        self._call = call

    def execute(self, query: str, *rest: Any) -> Any:
        self._call(f"before {query.strip()}")
        result = self._connection.execute(query, *rest)
        self._call(f"after {query.strip()}")
        return result


@pytest.fixture
def watch(monkeypatch) -> Callable[[Callable[[str], None]], None]:
    """Call back for every line read and around every statement of a commit."""
    take = _batch.Batch.take
    commit = _loader.commit

    def start(call: Callable[[str], None]) -> None:
        def read(batch: _batch.Batch, count: int, size: int) -> _batch.Place:
            for _ in range(count):
                call("line")
            return take(batch, count, size)

        monkeypatch.setattr(_loader, "MAX_LOAD_LINES", 40)
        monkeypatch.setattr(_batch.Batch, "take", read)
        monkeypatch.setattr(
            _loader, "commit", lambda real, *rest: commit(Watched(real, call), *rest)
        )

    return start


def ends_by_its_own_hand(pid: int, children: Any) -> None:
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGKILL)
    children.kill(pid)


@pytest.mark.parametrize("seed", range(10))
def test_a_load_that_dies_while_it_reads_leaves_whole_loads_only(
    home, lines, children, watch, all_is_loaded_once, seed
):
    last = random.Random(seed).randrange(lines)
    read = iter(range(lines))

    def die_at_the_last(step: str) -> None:
        if step == "line" and next(read) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def load_and_die() -> None:
        watch(die_at_the_last)
        load(home)

    ends_by_its_own_hand(children.start(load_and_die), children)
    all_is_loaded_once()


@pytest.mark.parametrize("seed", range(20))
def test_a_load_that_is_killed_at_any_moment_leaves_whole_loads_only(
    home, lines, children, watch, all_is_loaded_once, seed
):
    reader, writer = os.pipe()

    def load_aloud() -> None:
        watch(lambda _: os.write(writer, b".") and None)
        load(home)

    pid = children.start(load_aloud)
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        # A bad or doubled line is a step, too, and a commit of 40 lines has 20 or so.
        for _ in range(random.Random(seed).randrange(1, lines)):
            pipe.read(1)
        children.kill(pid)

    all_is_loaded_once()


@pytest.mark.parametrize(
    "statement",
    ["begin", "insert into raw.", "insert into ledger.loads", "insert into ledger.seg", "commit"],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_load_that_dies_at_a_statement_leaves_whole_loads_only(
    home, children, watch, all_is_loaded_once, statement, moment
):
    def die_there(step: str) -> None:
        if step.startswith(f"{moment} {statement}"):
            os.kill(os.getpid(), signal.SIGKILL)

    def load_and_die() -> None:
        watch(die_there)
        load(home)

    ends_by_its_own_hand(children.start(load_and_die), children)
    all_is_loaded_once()


def test_what_the_system_refuses_is_said_in_one_line_and_loaded_by_the_next_load(
    home, monkeypatch, all_is_loaded_once
):
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(_loader, "segment_sizes", full)
        with pytest.raises(HomeError, match="No space left"):
            load(home)
    all_is_loaded_once()
