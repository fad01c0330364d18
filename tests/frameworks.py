"""Ask pip whether the base install goes with the agent frameworks of today: `make hosts`.

Nothing is installed. Each framework is resolved alone, then together with this package at the
release that was found, so that an old release cannot hide a conflict. It needs a package index.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
HOSTS = ["litellm", "langgraph", "crewai", "openai-agents", "pydantic-ai", "ag2", "smolagents"]


class ConflictError(Exception):
    """What pip says of requirements that do not go together."""


def resolved(*requirements: str) -> dict[str, str]:
    """Return which release of each package pip would install, by its name.

    Raises:
        ConflictError: there is no such set of releases.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
        asked = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, *requirements],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            said = [line for line in asked.stderr.splitlines() if not line.startswith("WARNING")]
            raise ConflictError("\n".join(said) or f"pip ended with {asked.returncode}")
        found = [one["metadata"] for one in json.loads(report.read_text())["install"]]
    return {one["name"].lower().replace("_", "-"): one["version"] for one in found}


def main() -> int:
    """Ask for all hosts, or those named; return 1 if one does not go with this package."""
    base = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    faults = 0
    for host in sys.argv[1:] or HOSTS:
        try:
            release = f"{host}=={resolved(host)[host]}"
            together = resolved(*base, release)
        except ConflictError as conflict:
            faults += 1
            print(f"{host}: NO\n{conflict}", flush=True)
        else:
            print(f"{release}: yes, with pydantic {together['pydantic']}", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
