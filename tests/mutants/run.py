"""Put each bug into a copy of the checkout and say which test sees it; fail if none does.

python tests/mutants/run.py            all of them
python tests/mutants/run.py watermark  those with this word in their name
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mutants import MUTANTS, Mutant

CHECKOUT = Path(__file__).parents[2]
PARTS = (
    "dbt_project.yml", "profiles.yml", "selectors.yml", "pyproject.toml", "ingest", "macros",
    "models", "seeds", "tests",
)  # fmt: skip
SECONDS = 600
"""More than any of the chosen tests takes, on a slow machine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("word", nargs="*", help="only mutants with one of these in their name")
    words = parser.parse_args().word
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    missing = [problem for mutant in MUTANTS if (problem := misfit(mutant, CHECKOUT))]
    print(*missing, sep="\n", end="\n" if missing else "")
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        for part in PARTS:
            source, target = CHECKOUT / part, copy / part
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        for mutant in chosen:
            if not misfit(mutant, copy):
                alive += not is_caught(mutant, copy)
    print(f"{len(chosen)} mutants, {alive} survived, {len(missing)} no longer fit the code")
    return 1 if alive or missing else 0


def misfit(mutant: Mutant, root: Path) -> str:
    """Return why a mutant cannot be made, or an empty text."""
    file = root / mutant.path
    found = file.read_text().count(mutant.old) if file.exists() else 0
    if found != 1:
        return f"UNFIT     {mutant.name}: its old text stands {found} times in {mutant.path}"
    return ""


def is_caught(mutant: Mutant, copy: Path) -> bool:
    """Test the copy with the bug in it, print one line, and take the bug out again."""
    file = copy / mutant.path
    right = file.read_text()
    started = time.monotonic()
    if not is_well(mutant.tests, copy):
        print(f"{mutant.name}: NOT TRIED, its tests fail without it", flush=True)
        return False
    file.write_text(right.replace(mutant.old, mutant.new))
    try:
        ended = tested(mutant.tests, copy)
    finally:
        file.write_text(right)
    by = re.search(r"^FAILED \S+::(\w+)", ended.stdout, re.MULTILINE)
    if ended.returncode == 1 and by:
        verdict = f"caught by {by[1]}"
    elif ended.returncode == 0:
        verdict = "SURVIVED"
    else:
        verdict = f"NOT TRIED, pytest ended with {ended.returncode}\n{ended.stdout[-2000:]}\n"
    print(f"{mutant.name}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    return verdict.startswith("caught")


@functools.cache
def is_well(tests: tuple[str, ...], copy: Path) -> bool:
    """Tell whether the tests pass where nothing is wrong: else their failure says nothing."""
    return tested(tests, copy).returncode == 0


def tested(tests: tuple[str, ...], copy: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-rf", "--tb=no", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "ingest"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
