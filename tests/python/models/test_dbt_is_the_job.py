"""Plain dbt commands: what loads, what publishes, and what happens beside them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning._database import MEMORY_BYTES, limit_memory
from orb_learning.errors import NotPublishedError, RefreshError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.upkeep import take_in
from orb_learning.warehouse import STORAGE_VERSION
from warm_dbt import leave_parse

from .warehouse import Warehouse

DBT = Path(sys.executable).with_name("dbt")
PROJECT = Path(__file__).parents[3]
POOL_WINDOW = 7
"""Days, the var `pool_window_days`: the shortest of the marts' windows."""


@pytest.fixture
def warehouse(tmp_path: Path, parsed: Refresher) -> Warehouse:
    return Warehouse(tmp_path / "home", parsed)


def outcomes(home: Home, number: int, *, tag: str = "", **fields: Any) -> None:
    with Telemetry(home.root, strict=True) as telemetry:
        for index in range(number):
            telemetry.capture_routing_outcome_sync(task_id=f"{tag}{index}", success=True, **fields)


def dbt(home: Home, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DBT, *arguments, "--target-path", home.root / "target", "--log-path", home.root / "logs"],
        cwd=PROJECT,
        env={
            **os.environ,
            "ORB_LEARNING_HOME": str(home.root),
            "DBT_USE_COLORS": "false",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_run_loads_at_its_start_and_publishes_at_its_end(warehouse: Warehouse) -> None:
    outcomes(warehouse.home, 3)

    warehouse.run()

    published = current(warehouse.home)
    assert published.rows["executions"] == 3
    assert published.load_id == 1
    with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as reader:
        assert reader.execute("select count(*) from executions").fetchall() == [(3,)]
        views = reader.execute("select view_name from duckdb_views() where not internal").fetchall()
        indexes = {
            name for (name,) in reader.execute("select index_name from duckdb_indexes()").fetchall()
        }
    assert views == [("executions_with_embeddings",)]
    assert indexes == {
        "idx_executions_repo_task",
        "idx_executions_tier_success",
        "idx_executions_pool_duration",
        "idx_executions_quality_trend",
        "idx_tier_performance_lookup",
        "idx_solution_patterns_success_rate",
    }


def test_no_database_is_open_to_others_although_the_home_is(warehouse: Warehouse) -> None:
    home = warehouse.home
    home.root.mkdir(mode=0o755)
    before = os.umask(0o022)
    try:
        warehouse.run()
    finally:
        os.umask(before)

    assert stat.S_IMODE(home.root.stat().st_mode) == 0o755
    assert stat.S_IMODE(home.staging.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.warehouse.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.spool.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.published.stat().st_mode) == 0o700


def test_the_var_indexes_takes_them_away_and_brings_them_back(warehouse: Warehouse) -> None:
    def names() -> int:
        with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as reader:
            return len(reader.execute("from duckdb_indexes()").fetchall())

    counts = []
    for switch in ("true", "false", "true"):
        warehouse.run(indexes=switch)
        counts.append(names())

    assert counts == [6, 0, 6]


@pytest.mark.parametrize(
    "arguments",
    [("--select", "executions"), ("--empty",), ("--exclude", "pools"), ("--sample", "3 days")],
)
def test_what_is_not_a_whole_run_is_not_published(
    warehouse: Warehouse, arguments: tuple[str, ...]
) -> None:
    warehouse.run()
    before = current(warehouse.home).id
    outcomes(warehouse.home, 3)  # or there would be nothing to publish

    warehouse.run(*arguments)

    assert current(warehouse.home).id == before
    warehouse.run()
    assert current(warehouse.home).id != before


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"as_of": "tomorrow"}, "as_of must be a date or a UTC time"),
        ({"tier_window_days": "many"}, "whole number of days"),
    ],
)
def test_a_failed_node_keeps_the_last_publication(
    warehouse: Warehouse, variables: dict[str, str], fault: str
) -> None:
    warehouse.run()
    before = current(warehouse.home).id
    outcomes(warehouse.home, 3)  # or there would be nothing to publish

    with pytest.raises(RefreshError, match=fault):
        warehouse.run(**variables)

    assert current(warehouse.home).id == before
    warehouse.run()
    assert current(warehouse.home).id != before


def test_a_var_cannot_smuggle_sql_into_a_model(warehouse: Warehouse) -> None:
    with pytest.raises(RefreshError, match="as_of must be"):
        warehouse.run(as_of="2026-06-15'' or 1 = 1 --")
    with pytest.raises(RefreshError, match="whole number of days"):
        warehouse.run(tier_window_days="'(select 1)'")


@pytest.mark.parametrize(
    "command", [("test", "--select", "source:*"), ("compile",), ("docs", "generate")]
)
def test_other_commands_neither_load_nor_publish_and_need_nothing_to_exist(
    warehouse: Warehouse, command: tuple[str, ...]
) -> None:
    outcomes(warehouse.home, 2)

    warehouse.refresher.invoke(list(command))

    with pytest.raises(NotPublishedError):
        current(warehouse.home)
    assert take_in(warehouse.home).loaded == 2


def statuses(warehouse: Warehouse, as_of: date) -> dict[str, str]:
    """Run the data tests as of a day, and return what became of each, by its name."""
    try:
        results = warehouse.refresher.invoke(["test", "--vars", f"{{as_of: '{as_of}'}}"])
    except RefreshError as error:
        return {"failed": str(error)}
    tests = [result for result in results if result.node.resource_type == "test"]
    return {result.node.name: str(result.status) for result in tests}


@pytest.fixture
def day(warehouse: Warehouse) -> date:
    """The day of two executions; the warehouse is built as of the last day of their pool's week."""
    day = date(2026, 6, 15)
    outcomes(warehouse.home, 2, occurred_at=datetime(2026, 6, 15, 23, 59, tzinfo=UTC))
    warehouse.run(as_of=str(day + timedelta(days=POOL_WINDOW)))
    return day


def test_what_a_run_built_passes_the_tests_though_no_seed_is_loaded(
    warehouse: Warehouse, day: date
) -> None:
    assert set(statuses(warehouse, day).values()) == {"pass"}
    with duckdb.connect(str(warehouse.home.warehouse), read_only=True) as built:
        found = built.execute("select count(*) from duckdb_tables() where table_name = 'tiers'")
        assert found.fetchall() == [(0,)]


def test_what_was_built_before_midnight_passes_the_tests_after(
    warehouse: Warehouse, day: date
) -> None:
    assert set(statuses(warehouse, day + timedelta(days=POOL_WINDOW + 1)).values()) == {"pass"}


@pytest.mark.parametrize(
    "damage",
    [
        "delete from tier_performance",
        "update pool_performance set total_tasks = total_tasks + 1",
        "delete from quality_trend",
        "update tasks set attempts = attempts + 1",
    ],
)
def test_a_mart_that_lost_a_day_or_counts_wrong_fails_its_test(
    warehouse: Warehouse, day: date, damage: str
) -> None:
    with duckdb.connect(str(warehouse.home.warehouse)) as built:
        built.execute(damage)
    found = statuses(warehouse, day)
    assert "total_matches_fact" in found["failed"]


def test_a_day_that_has_left_the_window_must_still_be_whole(
    warehouse: Warehouse, day: date
) -> None:
    with duckdb.connect(str(warehouse.home.warehouse)) as built:
        built.execute("update pool_performance set total_tasks = total_tasks + 1")
    found = statuses(warehouse, day + timedelta(days=POOL_WINDOW + 1))
    assert "total_matches_fact_pool_performance" in found["failed"]


def test_new_files_have_the_storage_format_that_is_promised(
    warehouse: Warehouse, day: date
) -> None:
    learning = warehouse.home.current.resolve() / "learning.db"
    with duckdb.connect() as reader:
        for name, file in {"built": warehouse.home.warehouse, "read": learning}.items():
            reader.execute(f"attach '{file}' as {name} (read_only)")
        found = reader.execute(
            "select tags['storage_version'] from duckdb_databases() where path is not null"
        ).fetchall()
    assert found == [(f"{STORAGE_VERSION}+",)] * 2


def test_the_files_are_free_again_after_a_failed_command(warehouse: Warehouse) -> None:
    with pytest.raises(RefreshError):
        warehouse.run(as_of="tomorrow")

    outcomes(warehouse.home, 1)
    assert take_in(warehouse.home).loaded == 1
    duckdb.connect(str(warehouse.home.warehouse)).close()


def test_a_refresh_builds_tests_and_publishes_an_empty_home(warehouse: Warehouse) -> None:
    report = warehouse.refresher.refresh(as_of="2026-06-15")

    assert set(report.publication.rows.values()) == {0}
    assert report.warnings == []


def test_a_session_in_another_time_zone_changes_no_result(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        telemetry.capture_routing_outcome_sync(
            task_id="late", success=True, timestamp="2026-06-14T23:30:00-05:00"
        )
    warehouse.run()
    before = warehouse.tables()
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        warehouse.run("--full-refresh")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert warehouse.tables() == before


def test_cold_commands_work_while_hooks_write_and_readers_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "a home [with] 'odd' name")
    outcomes(home, 5)
    first = dbt(home, "run")
    assert first.returncode == 0, first.stdout
    held = duckdb.connect(str(home.learning_db), read_only=True)
    running = subprocess.Popen(
        [DBT, "run", "--target-path", home.root / "target", "--log-path", home.root / "logs"],
        cwd=PROJECT,
        env={**os.environ, "ORB_LEARNING_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    captured = reads = 0
    with Telemetry(home.root, strict=True) as telemetry:
        while running.poll() is None:
            if captured < 20_000:
                telemetry.capture_routing_outcome_sync(task_id=f"new-{captured}", success=True)
                captured += 1
            if captured % 1000 == 0:
                assert held.execute("select count(*) from executions").fetchall() == [(5,)]
                reads += 1
    output = running.communicate()[0]
    held.close()

    assert running.returncode == 0, output
    assert reads > 0
    last = dbt(home, "run")
    assert last.returncode == 0, last.stdout
    assert current(home).rows["executions"] == 5 + captured


def test_what_is_compiled_without_a_question_finds_the_same_attempts(
    warehouse: Warehouse, parsed: Refresher
) -> None:
    outcomes(warehouse.home, 3)
    warehouse.refresher.invoke(["run"])
    outcomes(warehouse.home, 5, tag="later ")
    outcomes(warehouse.home, 1)  # another one of a task that is known
    take_in(warehouse.home)
    leave_parse(parsed, warehouse.home)
    done = dbt(
        warehouse.home, "compile", "--no-introspect", "-s", "int_attempts", "--output", "json",
        "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    sql = json.loads(done.stdout)["compiled"]
    with duckdb.connect(str(warehouse.home.warehouse), read_only=True) as connection:
        connection.execute(f"attach '{warehouse.home.staging}' as staging (read_only)")
        assert len(connection.sql(sql).fetchall()) == 6


def test_a_cold_run_loads_and_publishes_without_heavy_libraries(tmp_path: Path) -> None:
    heavy = {
        "torch", "sentence_transformers", "openvino", "faiss", "numpy", "pandas", "pyarrow",
        "streamlit", "apscheduler", "typer",
    }  # fmt: skip
    home = Home(tmp_path / "home")
    outcomes(home, 5)
    code = f"""
import sys
from dbt.cli.main import cli
try:
    cli(["run", "--quiet", *sys.argv[1:]])
except SystemExit as end:
    print(end.code, {heavy} & sys.modules.keys())
"""
    done = subprocess.run(
        [
            sys.executable, "-c", code,
            "--target-path", home.root / "target", "--log-path", home.root / "logs",
        ],
        cwd=PROJECT,
        env={**os.environ, "ORB_LEARNING_HOME": str(home.root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )  # fmt: skip
    assert done.stdout == "0 set()\n", done.stdout + done.stderr
    assert current(home).rows["executions"] == 5


def test_a_second_run_waits_and_says_so_or_gives_up_in_one_line(
    tmp_path: Path, parsed: Refresher
) -> None:
    home = Home(tmp_path / "home")
    leave_parse(parsed, home)
    with home.locked():
        refused = dbt(home, "run", ORB_LEARNING_LOCK_TIMEOUT="0.2")

    assert refused.returncode != 0
    assert f"process {os.getpid()} still holds" in " ".join(refused.stdout.split())
    assert dbt(home, "run").returncode == 0


WATCHED = """
import os, sys
from orb_learning.home import Home

release = Home.release_lock

def look_and_release(home):
    links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    print("open:", [link for link in links if link.endswith(".duckdb")], file=sys.stderr)
    release(home)

Home.release_lock = look_and_release
from dbt.cli.main import cli
cli()
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc to look into")
def test_the_files_are_closed_before_the_lock_is_given_back(
    tmp_path: Path, parsed: Refresher
) -> None:
    """Whoever waits for it opens them next, and would be told that they are in use."""
    home = Home(tmp_path / "home")
    leave_parse(parsed, home)
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, "--quiet", "run",
         "--target-path", home.root / "target", "--log-path", home.root / "logs"],
        cwd=PROJECT,
        env={**os.environ, "ORB_LEARNING_HOME": str(home.root)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0
    assert ended.stderr.splitlines()[-1] == "open: []"


def test_a_warehouse_that_is_no_database_is_named(tmp_path: Path, parsed: Refresher) -> None:
    home = Home(tmp_path / "home")
    leave_parse(parsed, home)
    home.staging.write_text("not a database")

    refused = dbt(home, "run")

    assert refused.returncode != 0
    assert "is not a DuckDB database" in " ".join(refused.stdout.split())


def test_dbt_test_names_the_table_and_the_column_that_drifted(warehouse: Warehouse) -> None:
    warehouse.run()
    with duckdb.connect(str(warehouse.home.staging)) as staging:
        staging.execute("alter table raw.feedback alter rating type varchar")

    with pytest.raises(RefreshError) as caught:
        warehouse.refresher.invoke(["test", "--select", "source:raw.feedback"])

    assert "columns_as_declared_raw_feedback" in str(caught.value)
    assert "raw.feedback.rating is varchar, declared is integer" in str(caught.value)


@pytest.mark.parametrize(("own", "then"), [("20GB", "2.7 GiB"), ("1GB", "953.6 MiB")])
def test_a_build_takes_some_gigabytes_and_no_more_than_a_small_machine_allows(own, then):
    with duckdb.connect(config={"memory_limit": own}) as connection:
        limit_memory(connection)
        assert connection.execute("select current_setting('memory_limit')").fetchone() == (then,)


def test_a_dbt_command_spills_into_a_folder_of_its_own_that_goes_with_it(warehouse):
    left = warehouse.home.spill / "1-0123abcd"
    left.mkdir(parents=True)
    shown = warehouse.refresher.invoke(
        ["show", "--inline", "select current_setting('temp_directory') as it"]
    )
    folder = Path(shown.results[0].agate_table.rows[0]["it"])
    assert folder.parent == warehouse.home.spill
    assert folder != left
    assert list(warehouse.home.spill.iterdir()) == []


def test_a_dbt_command_keeps_to_the_limit_unless_its_profile_names_one(warehouse):
    def limit() -> str:
        shown = warehouse.refresher.invoke(
            ["show", "--inline", "select current_setting('memory_limit') as it"]
        )
        return str(shown.results[0].agate_table.rows[0]["it"])

    number, unit = limit().split()
    assert float(number) * {"MiB": 2**20, "GiB": 2**30}[unit] <= MEMORY_BYTES

    own = warehouse.home.root / "profile"
    own.mkdir()
    text = (warehouse.refresher.project / "profiles.yml").read_text()
    assert "config_options:" not in text
    text = text.replace(
        "type: duckdb\n", "type: duckdb\n      config_options: {memory_limit: 4GB}\n"
    )
    (own / "profiles.yml").write_text(text)
    shown = dbt(
        warehouse.home,
        "show",
        "--inline",
        "select current_setting('memory_limit') as it",
        "--profiles-dir",
        str(own),
    )
    assert "3.7 GiB" in shown.stdout, shown.stdout
