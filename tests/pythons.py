"""Run the tests of events, hooks and loader on each interpreter that is found: `make pythons`.

A host is on any Python that the package claims to run on; the classifiers say which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = [
    *("capture", "hosts", "spool", "staging"),
    *("test_events.py", "test_misfits.py", "test_records.py", "test_status_words.py"),
    *("test_success.py", "test_types.py", "test_home.py"),
]
WITHOUT = "staging/test_worked_migration.py"  # it runs dbt, which hosts need not have
NEEDED = ["pytest", "pytest-timeout", "hypothesis", "pyarrow", "pyyaml"]


def claimed() -> list[str]:
    """Return the versions that the classifiers name, such as 3.11."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = (re.search(r"Python :: (3\.\d+)$", line) for line in project["classifiers"])
    return [match[1] for match in found if match]


def interpreter(version: str) -> str | None:
    """Return the newest interpreter of a version, from pyenv or the path; None if there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(
        root.glob(f"versions/{version}.*/bin/python"),
        key=lambda path: [int(number) for number in re.findall(r"\d+", path.parts[-3])],
    )
    named = shutil.which(f"python{version}")
    for candidate in [*map(str, reversed(kept)), *([named] if named else [])]:
        told = subprocess.run(  # a shim of pyenv's may stand for nothing
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.stdout.strip() == version:
            return candidate
    return None


def run(version: str, python: str) -> bool:
    """Run the tests in an environment with the base install; return whether they pass."""
    environment = ROOT / ".venv-pythons" / version
    own = str(environment / "bin" / "python")
    quiet = ["--quiet", "--disable-pip-version-check", "--constraint", "constraints.txt"]
    tests = [*(f"tests/python/{name}" for name in TESTS), f"--ignore=tests/python/{WITHOUT}"]
    commands = [
        [python, "-m", "venv", str(environment)],
        [own, "-m", "pip", "install", *quiet, "--editable", ".", *NEEDED],
        [own, "-m", "pytest", "-q", *tests],
    ]
    return all(subprocess.call(command, cwd=ROOT) == 0 for command in commands)


def main() -> int:
    """Run all that are claimed, or those named; return 1 if one fails or is missing."""
    results = {}
    for version in sys.argv[1:] or claimed():
        python = interpreter(version)
        if python is None:
            results[version] = f"missing: install it, for instance with `pyenv install {version}`"
            continue
        print(f"Python {version}: {python}", flush=True)
        results[version] = "passed" if run(version, python) else "FAILED"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return int(any(result != "passed" for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
