"""`make faults`: every row at its long count, and one line of figures each.

python -m tests.faults.run --rows F1 F2 --scale 0.1 --seed 7 --jobs 2
python -m tests.faults.run --rows F2 --only 20261193   # one trial again, by its seed
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ._disks import no_injection, no_mounts
from ._homes import warm_up
from ._processes import Child
from ._result import Result
from .rows import ROWS, Part, Row, try_part

SEED = 20261125
MOST_SECONDS = 24 * 3600.0


def try_row(row: Row, scale: float, seed: int, jobs: int, folder: Path) -> Result:
    """Run a row's parts one after the other, each spread over some processes."""
    total = Result()
    for part in row.parts:
        share = max(1, round(part.long * scale / jobs))
        workers = []
        for job in range(jobs):
            place = folder / f"{row.key}-{part.trial.__name__}-{job}"
            place.mkdir()
            seeds = range(seed + job, seed + (5 * share + 10) * jobs, jobs)
            workers.append(
                Child(
                    lambda _, seeds=seeds, place=place, part=part, share=share: _work(
                        part, share, seeds, place
                    )
                )
            )
        for worker in workers:
            ended = worker.wait(MOST_SECONDS)
            if ended.is_done:
                total.add(ended.value)
            else:
                total.fail(f"the trials themselves failed: {ended.error or ended}")
    return total


def _work(part: Part, share: int, seeds: range, place: Path) -> Result:
    tempfile.tempdir = str(place)
    try:
        return try_part(part, share, seeds, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main() -> int:
    """Run what the command line asks for; 1 if any promise was broken."""
    parser = argparse.ArgumentParser(
        prog="tests.faults.run", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rows", nargs="+", choices=[row.key for row in ROWS])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the long counts")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, metavar="SEED", help="run one trial of each row")
    parser.add_argument("--folder", type=Path, help="where the trials lie; default in memory")
    chosen = parser.parse_args()
    for reason in (no_mounts(), no_injection()):
        if reason:
            print(f"without some faults: {reason}", flush=True)
    memory = Path("/dev/shm")  # kills are the same there, and forcing to disk costs nothing
    base = chosen.folder or (memory if os.access(memory, os.W_OK) else None)
    is_good = True
    with tempfile.TemporaryDirectory(prefix="faults-", dir=base) as name:
        folder = Path(name)
        warm_up(folder)
        for row in ROWS:
            if chosen.rows and row.key not in chosen.rows:
                continue
            started = time.monotonic()
            if chosen.only is None:
                total = try_row(row, chosen.scale, chosen.seed, chosen.jobs, folder)
            else:
                total = Result()
                for part in row.parts:
                    (place := folder / f"{row.key}-{part.trial.__name__}").mkdir()
                    total.add(try_part(part, 1, range(chosen.only, chosen.only + 1), place))
            print(total.line(row.title, time.monotonic() - started, chosen.seed), flush=True)
            for note in total.notes:
                print(f"    {note}", flush=True)
            is_good &= total.is_good
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
