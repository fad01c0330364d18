"""The wheel in an environment of its own: it runs dbt without a checkout, from anywhere.

The environment holds the wheel alone; what the wheel needs is read from the environment of the
tests, so that nothing is fetched.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.home import HOME_VARIABLE, Home

ROOT = Path(__file__).parents[2]
SECONDS = 120

# A shell that starts the tests in the background has all their children ignore Ctrl-C.
HEARING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Installed:
    """An environment with the wheel, and an empty directory to stand in."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "venv" / "bin"
        (self.packages,) = (folder / "venv").glob("lib/python*/site-packages")
        self.here = folder / "elsewhere"
        self.here.mkdir()

    def command(self, *arguments: object) -> list[str]:
        return [str(self.bin / "orb-learning"), *map(str, arguments)]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ORB_LEARNING", "DBT_", "PYTHON", "COV_"))
        }
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "DBT_USE_COLORS": "false", **more}

    def run(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.here,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def written(self) -> set[tuple[str, int, int]]:
        """Return all files of the installed package, with their sizes and times."""
        files = (path for path in self.packages.rglob("*") if path.is_file())
        return {(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Build the wheel and install it; whatever a test runs must leave the package as it was."""
    folder = tmp_path_factory.mktemp("wheel")
    for command in (
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        [sys.executable, "-m", "venv", "--without-pip", folder / "venv"],
    ):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=SECONDS)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, wheel], check=True, capture_output=True, timeout=SECONDS)
    made = Installed(folder)
    (made.packages / "what_it_needs.pth").write_text(sysconfig.get_path("purelib"))
    before = made.written()
    yield made
    assert made.written() == before
    assert list(made.here.iterdir()) == []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "a home [of] 'ours'")


def test_dbt_runs_on_the_home_that_is_named_from_anywhere(installed: Installed, home: Home) -> None:
    def dbt(*arguments: str) -> str:
        # Variables of another project, which has its own home, mean nothing here.
        theirs = {HOME_VARIABLE: "theirs", "DBT_PROJECT_DIR": "theirs", "DBT_TARGET_PATH": "out"}
        ended = installed.run("--home", home.root, "dbt", *arguments, **theirs)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    dbt("build")  # the first command ever, on an empty home
    with Telemetry(home.root, strict=True) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id="one", success=True)
    dbt("run", "--vars", "{tier_window_days: 3}", "--threads", "1")
    with duckdb.connect(str(home.learning_db), read_only=True) as published:
        assert published.execute("select count(*) from executions").fetchall() == [(1,)]
    dbt("test", "--select", "tasks")
    assert "dbt_project.yml file [OK found and valid]" in dbt("debug")
    assert dbt("--quiet", "list", "--resource-type", "seed").splitlines() == [
        f"orb_learning.{name}" for name in ("error_types", "feedback_types", "pool_types", "tiers")
    ]
    dbt("docs", "generate")
    ran = json.loads((home.target / "catalog.json").read_text())
    assert "model.orb_learning.executions" in ran["nodes"]
    for folder in (home.root, home.target, home.logs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    serve_docs(installed, home)

    foreign = home.root / "kept.txt"
    foreign.write_text("")
    dbt("clean")
    assert not home.target.exists()
    assert foreign.exists()
    assert home.staging.exists()


def serve_docs(installed: Installed, home: Home) -> None:
    """See that `docs serve` shows what was generated, and ends at Ctrl-C as dbt does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--port", port, "--no-browser")
    command = installed.command("--home", home.root, "dbt", "docs", "serve", *options)
    serving = subprocess.Popen(
        [sys.executable, "-c", HEARING, *command],
        cwd=installed.here,
        env=installed.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + SECONDS
        while True:
            try:
                found = urllib.request.urlopen(f"http://127.0.0.1:{port}/catalog.json", timeout=5)
            except (urllib.error.URLError, ConnectionError):
                assert serving.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
                continue
            with found:
                assert json.load(found)["nodes"]
            break
        serving.send_signal(signal.SIGINT)
        serving.wait(SECONDS)
        assert serving.returncode == 130, "as every command"
    finally:
        serving.kill()
        serving.wait()


def test_a_failure_ends_with_the_code_of_dbt(installed: Installed, home: Home) -> None:
    # Of what it reads nothing is built yet.
    ended = installed.run("--home", home.root, "dbt", "run", "--select", "int_usual_costs")
    assert ended.returncode == 1
    assert "Table with name executions does not exist" in ended.stdout
    ended = installed.run("--home", home.root, "dbt", "run", "--frobnicate")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Try 'orb-learning dbt run --help' for help." in ended.stderr


def test_without_dbt_one_line_says_what_to_install(installed: Installed, home: Home) -> None:
    absent = home.root.parent / "absent"
    (absent / "dbt").mkdir(parents=True)
    (absent / "dbt" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'dbt'\", name='dbt')"
    )
    for command in (["dbt", "run"], ["dbt", "--help"], ["demo"], ["demo", "--keep"]):
        ended = installed.run("--home", home.root, *command, PYTHONPATH=str(absent))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == (
            "error: dbt is not installed (dbt); run: pip install 'orb-learning[dbt]'\n"
        )
    assert not home.root.exists()
