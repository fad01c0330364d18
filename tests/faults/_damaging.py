"""F8: segments that are damaged in every way, and millions of mutated lines."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import duckdb

from orb_learning.home import Home
from orb_learning.spool import segment_names
from orb_learning.upkeep import take_in

from ._homes import audit, new_uuid, outcome_line, pool_line, settle, staged
from ._processes import Child
from ._result import Result

SEGMENTS = 100
"""Damaged segments that one trial loads together."""

FUZZED = 2_500
"""Mutated lines of one trial."""

MOST_MB = 512


VALUES = (
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"[]", b"{}", b"true", b"-1", b"0.1", b"9" * 400),
    *(b'"\\ud800"', b'"\\u0000"', b'"\xff"', b'"2026-02-30T00:00:00Z"', b'"0000-01-01T00:00Z"'),
)


def _cut(line: bytes, chance: random.Random) -> bytes:
    return line[: chance.randrange(1, len(line))]


def _headless(line: bytes, chance: random.Random) -> bytes:
    return line[chance.randrange(1, len(line)) :]


def _flip(line: bytes, chance: random.Random) -> bytes:
    data = bytearray(line)
    for _ in range(chance.choice((1, 1, 2, 8))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _noise(line: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(line))
    return line[:at] + chance.randbytes(chance.randrange(1, 30)) + line[at:]


def _swap(line: bytes, chance: random.Random) -> bytes:
    """Replace a value by one of another type, or out of every range."""
    value = chance.choice(VALUES)
    parts = line.split(b",")
    at = chance.randrange(len(parts))
    key = parts[at].partition(b":")[0]
    parts[at] = key + b":" + value
    return b",".join(parts) + (b"}" if at == len(parts) - 1 else b"")


def _nested(line: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((3, 65, 1000, 100_000))
    return line.replace(b'"metadata":null', b'"metadata":' + b'{"a":' * depth + b"1" + b"}" * depth)


def _two(line: bytes, chance: random.Random) -> bytes:
    return line + chance.choice((b"", b" ", b",")) + pool_line(new_uuid(chance))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _headless,
    _flip,
    _flip,
    _noise,
    _swap,
    _swap,
    _two,
    _nested,
    lambda line, chance: b"",
    lambda line, chance: b"\xef\xbb\xbf" + line,
    lambda line, chance: line + b"\r",
    lambda line, chance: line + b"\0" * chance.randrange(1, 50),
    lambda line, chance: b"\0" * chance.randrange(1, 50) + line,
    lambda line, chance: line + line[len(line) // 2 :],
    lambda line, chance: b"[" + line + b"]",
    lambda line, chance: line.replace(b'"event_id"', b'"Event_Id"'),
    lambda line, chance: line[:-1] + b',"event_id":"' + str(new_uuid(chance)).encode() + b'"}',
    lambda line, chance: line[:-1] + b',"unknown":1}',
    lambda line, chance: line.replace(b"null", b'"' + b"y" * 300_000 + b'"', 1),
)


@dataclass
class Damaged:
    """A spool of damaged segments, and what must come of it."""

    home: Home
    chance: random.Random
    intact: set[UUID] = field(default_factory=set)
    lines: int = 0
    bytes: int = 0

    def write(self, number: int, is_huge: bool) -> None:
        """Write one segment, whose writer is gone."""
        chance = self.chance
        lines = []
        for _ in range(chance.randrange(1, 12)):
            event = new_uuid(chance)
            line = pool_line(event) if event.int % 2 else outcome_line(event, text="z" * 20)
            if chance.random() < 0.35:
                line = chance.choice(MUTATIONS)(line, chance)
            else:
                self.intact.add(event)
            lines.append(line)
        if is_huge:
            lines.insert(chance.randrange(len(lines)), b'{"a":"' + b"x" * 20_000_000 + b'"}')
        data = b"\n".join(lines) + b"\n"
        if chance.random() < 0.4:
            data += _cut(pool_line(new_uuid(chance)), chance)
        elif chance.random() < 0.1:
            data += b"\0" * chance.randrange(1, 5000)
        self.lines += data.count(b"\n") + (not data.endswith(b"\n"))
        self.bytes += len(data)
        (self.home.spool / f"{number:05}.jsonl").write_bytes(data)

    def foreign(self) -> None:
        """Put beside them what no segment is; each would be an event too many, or a hang."""
        spool, chance = self.home.spool, self.chance
        outside = self.home.root / "outside.jsonl"
        outside.write_bytes(pool_line(new_uuid(chance)) + b"\n")
        (spool / "folder.jsonl").mkdir()
        os.mkfifo(spool / "fifo.jsonl")
        (spool / "link.jsonl").symlink_to(outside)
        (spool / "dangling.jsonl").symlink_to("nowhere")
        (spool / "loop.jsonl").symlink_to("loop.jsonl")
        for name in (
            "a*.jsonl",
            "a[1].jsonl",
            ".hidden.jsonl",
            "x.jsonl.gz",
            "s p.jsonl",
            "q'.jsonl",
        ):
            (spool / name).write_bytes(outside.read_bytes())
        (spool / "empty.jsonl").touch()


def damaging(seed: int, folder: Path) -> Result:
    """Load a hundred damaged segments: whole lines into tables, each other one into quarantine."""
    chance = random.Random(seed)
    result = Result()
    damaged = Damaged(Home(folder / "home"), chance)
    damaged.home.create()
    huge = chance.randrange(SEGMENTS * 5)
    for number in range(SEGMENTS):
        damaged.write(number, number == huge)
    damaged.foreign()
    result.trials = result.faults = SEGMENTS
    _load(result, damaged.home, "damaged segments")
    found = audit(result, damaged.home, damaged.intact, "damaged segments")
    if found is None:
        return result
    missing = damaged.intact - found.ids.keys()
    result.lose(len(missing), f"whole lines beside bad ones: {sorted(missing)[:2]}")
    _conserved(result, found.lines, damaged.lines)
    ledger = settle(result, "the ledger", lambda: _bytes_read(damaged.home))
    if ledger != damaged.bytes:
        result.fail(f"{ledger} bytes read of {damaged.bytes}")
    _load(result, damaged.home, "damaged segments again")
    again = staged(damaged.home, result, "damaged segments again")
    if again is not None and (again.ids, again.lines) != (found.ids, found.lines):
        result.double(again.lines - found.lines, "damaged segments were read twice")
    return result


def fuzzing(seed: int, folder: Path) -> Result:
    """Load one big segment whose every line is mutated, once or several times."""
    chance = random.Random(seed)
    result = Result(trials=FUZZED, faults=FUZZED)
    home = Home(folder / "home")
    home.create()
    small = tuple(mutation for mutation in MUTATIONS[:-1] if mutation is not _nested)
    lines = 0
    with (home.spool / "fuzz.jsonl").open("wb") as file:
        for number in range(FUZZED):
            event = new_uuid(chance)
            line = pool_line(event) if number % 2 else outcome_line(event, text="z" * 9)
            for _ in range(chance.choice((1, 1, 1, 2, 4))):
                line = chance.choice(small)(line if len(line) > 1 else b"{}", chance)
            if number % 500 == 0:
                line = _nested(line, chance)
            lines += line.count(b"\n") + 1
            file.write(line + b"\n")
    _load(result, home, "fuzzed lines")
    found = audit(result, home, set(), "fuzzed lines")
    if found is not None:
        _conserved(result, found.lines, lines)
        if found.lines != found.ids.total() + found.duplicates + len(found.quarantined):
            result.lose(1, "fuzzed lines: not every line is in a table or in quarantine")
    return result


def _load(result: Result, home: Home, what: str) -> None:
    ended = Child(lambda _: take_in(home)).wait(600.0)
    if ended.is_hung:
        result.hang(what)
    elif not ended.is_done:
        result.fail(f"{what}: {ended.error or 'the loader died'}")
    elif ended.peak_mb > MOST_MB:
        result.fail(f"{what}: the loader took {ended.peak_mb:.0f} MB")


def _conserved(result: Result, read: int, written: int) -> None:
    result.lose(written - read, "lines that were never read")
    result.double(read - written, "lines that were read twice")


def _bytes_read(home: Home) -> int:
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        rows = connection.execute("select sum(bytes_read) from ledger.segments").fetchall()
        names = connection.execute("select segment from ledger.segments").fetchall()
    strangers = {name for (name,) in names} - set(segment_names(home.spool))
    if strangers:
        raise ValueError(f"segments that are none: {strangers}")
    return int(rows[0][0])
