"""The worked example of docs/migrations.md: an event gets a nullable field, there and back.

The change is made to a copy of the checkout, by patches that must each match exactly once: one that
no longer does says that the recipe needs another look.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.errors import MigrationError, RefreshError
from orb_learning.home import Home
from orb_learning.refresh import Refresher
from orb_learning.staging import known_migrations, load

CHECKOUT = Path(__file__).parents[3]
COPIED = [
    "ingest",
    "models",
    "macros",
    "seeds",
    "tests/generic",
    "dbt_project.yml",
    "profiles.yml",
    "selectors.yml",
]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

NEWEST = known_migrations()[-1].version
FIELD = "cache_hit_rate"
TEXT = "share of the prompt read from a cache, 0..1."
DOC = f"description: \"{{{{ doc('{FIELD}') }}}}\""
DESCRIBED = f"      - name: {FIELD}\n        {DOC}\n"
DECLARED = f"{DESCRIBED}        data_type: double\n"

# The file, what stands there once, and what takes its place.
PATCHES = [
    (
        "ingest/orb_learning/events.py",
        '    """The router learned how the task ended."""\n\n'
        '    event_type: Literal["routing_outcome"] = "routing_outcome"\n',
        '    """The router learned how the task ended.\n\n'
        f'    Attributes:\n        {FIELD}: {TEXT}\n    """\n\n'
        '    event_type: Literal["routing_outcome"] = "routing_outcome"\n'
        f"    {FIELD}: Fraction | None = None\n",
    ),
    (
        "models/staging/_staging__models.yml",
        "  - name: stg_pool_execution_starts\n",
        f"      - {{name: {FIELD}, {DOC}}}\n  - name: stg_pool_execution_starts\n",
    ),
    (
        "macros/task_events.sql",
        "    'candidates': 'json',",
        f"    '{FIELD}': 'double', 'candidates': 'json',",
    ),
    (
        "macros/task_events.sql",
        "'stg_routing_outcomes', outcome, {}",
        f"'stg_routing_outcomes', outcome + ['{FIELD}'], {{}}",
    ),
    (
        "models/intermediate/_intermediate__models.yml",
        "  - name: int_attempts\n",
        f"{DESCRIBED}  - name: int_attempts\n",
    ),
    (
        "models/intermediate/_intermediate__models.yml",
        "  - name: int_execution_days\n",
        f"{DESCRIBED}  - name: int_execution_days\n",
    ),
    (
        "models/marts/executions.sql",
        "        solution_summary,\n        coalesce(metadata",
        f"        solution_summary,\n        {FIELD},\n        coalesce(metadata",
    ),
    (
        "models/marts/_marts__models.yml",
        "  - name: pending_executions\n",
        f"{DECLARED}  - name: pending_executions\n",
    ),
]

Rows = dict[str, dict[str, Any]]


class Patched:
    """The changed copy, which runs in processes of its own."""

    def __init__(self, root: Path, home: Home) -> None:
        for name in COPIED:
            source, target = CHECKOUT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for name, before, after in PATCHES:
            text = (root / name).read_text()
            assert text.count(before) == 1, f"{name}: {before!r} stands there not exactly once"
            (root / name).write_text(text.replace(before, after))
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(root / "ingest"),
            "ORB_LEARNING_PROJECT": str(root),
            "ORB_LEARNING_HOME": str(home.root),
        }
        self._root = root
        self._python("-m", "orb_learning.staging._drafting", FIELD)
        self._python("-m", "orb_learning.staging._sources")

    def run(self, code: str, *arguments: str) -> str:
        return self._python("-c", code, *arguments)

    def _python(self, *arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, *arguments],
            env=self._environment,
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def cli(self, *arguments: str) -> list[str]:
        return self.run("from orb_learning.cli import main; main()", *arguments).splitlines()


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Refresher:
    """The release before, with its project parsed, and a home in which nothing is loaded yet."""
    refresher = Refresher(tmp_path_factory.mktemp("parsed") / "home", CHECKOUT)
    refresher.invoke(["list", "--resource-type", "source"])
    return refresher


@pytest.fixture
def unpatched(home: Home, parsed: Refresher) -> Refresher:
    refresher = Refresher(home.root, CHECKOUT)
    refresher._manifest = parsed._manifest
    return refresher


def rows_of(file: Path, table: str, key: str) -> Rows:
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute(f"select * from {table} order by all")
        columns = [name for name, *_ in found.description or []]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    return {str(row[key]): row for row in rows}


def executions(home: Home) -> Rows:
    return rows_of(home.learning_db, "executions", "task_id")


def outcomes(home: Home) -> Rows:
    return rows_of(home.staging, "raw.routing_outcome", "event_id")


def without_the_field(rows: Rows) -> Rows:
    return {
        key: {name: value for name, value in row.items() if name != FIELD}
        for key, row in rows.items()
    }


def test_a_field_is_added_taken_back_and_added_again_and_no_row_is_lost(
    tmp_path: Path, parsed: Refresher
) -> None:
    unpatched, home = parsed, parsed.home
    patched = Patched(tmp_path / "copy", home)
    newest = f"{NEWEST + 1:04} {FIELD}"

    # The release before.
    with Telemetry(home.root, strict=True) as telemetry:
        for number in range(5):
            telemetry.capture_routing_outcome_sync(
                task_id=f"old-{number}", success=True, timestamp=NOON, actual_cost=0.5
            )
    unpatched.invoke(["run"])
    old_executions, old_outcomes = executions(home), outcomes(home)
    assert len(old_executions) == len(old_outcomes) == 5
    assert all(FIELD not in row for row in old_executions.values())

    # Up: the plan changes nothing, and the release before knows when to leave staging alone.
    assert patched.cli("migrate", "upgrade", "--plan") == [f"would apply {newest}"]
    assert outcomes(home) == old_outcomes
    assert patched.cli("migrate", "upgrade") == [f"applied {newest}"]
    assert patched.cli("migrate", "validate") == ["valid"]
    with pytest.raises(MigrationError, match=rf"{NEWEST + 1} \({FIELD}\), which this release does"):
        load(home)
    patched.run(CAPTURE_RUN_AND_TEST)
    new_executions, new_outcomes = executions(home), outcomes(home)
    assert sorted(row[FIELD] for row in new_executions.values() if row[FIELD] is not None) == [
        0.25,
        0.75,
    ]
    assert len(new_executions) == len(new_outcomes) == 7
    for key, row in old_executions.items():
        assert new_executions[key] == {**row, FIELD: None}
    for key, row in old_outcomes.items():
        assert new_outcomes[key] == {**row, FIELD: None}

    # Down: what the column held is in the backup, every row stays, the release before goes on.
    backed_up, taken_back = patched.cli("migrate", "downgrade", "--to", str(NEWEST), "--yes")
    assert taken_back == f"took back {newest}"
    (backup,) = home.backups.iterdir()
    assert backed_up == f"backup {backup}"
    assert rows_of(backup, "raw.routing_outcome", "event_id") == new_outcomes
    assert outcomes(home) == without_the_field(new_outcomes)
    unpatched.invoke(["run"])
    assert executions(home) == without_the_field(new_executions)

    # Up again.
    assert patched.cli("migrate", "upgrade") == [f"applied {newest}"]
    assert outcomes(home) == {
        key: {**row, FIELD: None} for key, row in without_the_field(new_outcomes).items()
    }


CAPTURE_RUN_AND_TEST = f"""
from orb_learning import Telemetry
from orb_learning.refresh._refresher import Refresher
with Telemetry(strict=True) as telemetry:
    for number in (1, 3):
        telemetry.capture_routing_outcome_sync(
            task_id=f"new-{{number}}", success=True, {FIELD}=number / 4
        )
refresher = Refresher()
refresher.invoke(["run"])
refresher.invoke(["test", "--select", "test_name:columns_as_declared"])
"""


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        (
            "alter table raw.routing_outcome add column spare INTEGER",
            "raw.routing_outcome.spare is integer, declared is nothing",
        ),
        (
            "alter table raw.routing_outcome drop column actual_cost",
            "raw.routing_outcome.actual_cost is missing, declared is double",
        ),
        (
            "alter table raw.routing_outcome alter actual_cost type varchar",
            "raw.routing_outcome.actual_cost is varchar, declared is double",
        ),
    ],
)
def test_a_raw_table_that_is_not_as_declared_fails_the_test_that_names_table_and_column(
    home: Home, unpatched: Refresher, drift: str, said: str
) -> None:
    load(home)
    unpatched.invoke(["test", "--select", "source:raw.routing_outcome"])
    with duckdb.connect(str(home.staging)) as staging:
        staging.execute(drift)

    with pytest.raises(RefreshError) as caught:
        unpatched.invoke(["test", "--select", "source:raw.routing_outcome"])

    assert said in str(caught.value)
