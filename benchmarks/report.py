"""What the benchmarks share: the machine's description, tables, and their place in the docs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


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
