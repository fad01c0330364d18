"""What the benchmarks share: processes, clocks, tables, and the tables' place in the docs."""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

WARM_UP = 5
CALLS = 100

PATIENT = 600.0
"""Seconds before a read is given up: a slow one shall be measured, not interrupted."""


def machine() -> str:
    """Return what the figures were measured on, and when."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()},"
        f" Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, its first column to the left."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, marks, *rows)]


def write_section(document: Path, name: str, text: str) -> None:
    """Replace what stands between a section's two marks.

    Raises:
        ValueError: the document has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, mark, rest = document.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not mark or not last:
        raise ValueError(f"{document} has no section {begin} … {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def percentile(times: Sequence[float], share: float) -> float:
    """Return the time within which that share of the calls had returned."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(times: Sequence[float]) -> list[str]:
    """Return the cells p50 and p95, in milliseconds, of times in seconds."""
    return [f"{percentile(times, share) * 1000:,.1f}" for share in (0.5, 0.95)]


def megabytes(size: float) -> str:
    """Return a cell for a number of bytes."""
    return f"{size / 1e6:,.1f} MB"


def alone(work: Callable[..., T], *arguments: Any) -> T:
    """Run something in a fresh process of its own, so that nothing is warm and memory is its."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def seeded(seed: int | str) -> random.Random:
    """Return chance that is the same in each run."""
    return random.Random(seed)  # noqa: S311


async def timed(
    call: Callable[[random.Random], Awaitable[Any]], calls: int = CALLS
) -> tuple[list[float], float]:
    """Return how many seconds each call took, and the rows that one returned on average."""
    chance = seeded(7)
    for _ in range(WARM_UP):
        await call(chance)
    times, rows = [], 0
    for _ in range(calls):
        begin = time.perf_counter()
        found = await call(chance)
        times.append(time.perf_counter() - begin)
        assert found is not None
        rows += len(found) if isinstance(found, list) else 1
    return times, rows / calls


def calibrated() -> float:
    """Return the seconds that this machine takes, now, for ten million additions in Python."""
    begin = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - begin


Part = tuple[str, Callable[[Any], list[str]]]
"""The title of a table, and what measures it and returns the lines below its title."""


def parts_parser(
    doc: str | None, parts: dict[str, Part], sizes: Sequence[int]
) -> argparse.ArgumentParser:
    """Return the options that benchmarks of several parts share."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="executions")
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--folder", type=Path, help="where histories and parts are kept")
    parser.add_argument("--write", type=Path, help="the document whose section is replaced")
    return parser


@contextmanager
def kept_in(folder: Path | None) -> Iterator[Path]:
    """Yield where histories and parts are kept: the folder, or one that goes afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        chosen = (folder or Path(temporary)).resolve()
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen


def run_parts(section: str, parts: dict[str, Part], wanted: Any, given: argparse.Namespace) -> None:
    """Measure the parts that the command line names, print each, and write the document."""
    for name in (name for name in parts if name in given.parts):
        title, part = parts[name]
        begin = time.perf_counter()
        speed = f"{machine()}; 10 million additions in Python took {calibrated():.2f} s."
        text = "\n".join([f"### {title}", "", speed, *part(wanted)])
        (wanted.folder / f"{name}.md").write_text(text + "\n")
        print(f"{text}\n\n({name}: {time.perf_counter() - begin:.0f} s)\n", flush=True)
        if given.write:
            kept = (wanted.folder / f"{name}.md" for name in parts)
            done = [file.read_text() for file in kept if file.exists()]
            write_section(given.write, section, "\n" + "\n".join(done))
