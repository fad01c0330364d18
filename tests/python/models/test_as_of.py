"""As of which day readers get the marts, and that all they get is of one run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.errors import ProjectError, RefreshError
from orb_learning.home import Home
from orb_learning.publication import MANIFEST, current
from orb_learning.refresh import Refresher
from orb_learning.serving import build_report
from orb_learning.upkeep import refresh_into
from warm_dbt import leave_parse

from .test_dbt_is_the_job import dbt
from .warehouse import Warehouse

EARLIER, LATER = "2026-05-10", "2026-06-15"


@pytest.fixture
def warehouse(tmp_path: Path, parsed: Refresher) -> Warehouse:
    return Warehouse(tmp_path / "home", parsed)


def outcome(warehouse: Warehouse, task: str) -> None:
    with Telemetry(warehouse.home.root, strict=True) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id=task, success=True)


def day_of(warehouse: Warehouse) -> str:
    return current(warehouse.home).as_of[:10]


def test_a_run_as_of_an_earlier_day_replaces_nothing_unless_it_says_so(
    warehouse: Warehouse,
) -> None:
    warehouse.run(as_of=LATER)
    outcome(warehouse, "new")
    before = current(warehouse.home)

    warehouse.run(as_of=EARLIER)
    assert current(warehouse.home) == before
    assert len(warehouse.tables()["main.executions"]) == 1, "it was built"

    warehouse.run(as_of=EARLIER, publish_past="true")
    assert day_of(warehouse) == EARLIER
    warehouse.run(as_of=LATER)
    assert day_of(warehouse) == LATER


def test_a_publication_of_a_day_to_come_is_not_kept(warehouse: Warehouse) -> None:
    """Of a wrong clock, or of a day ahead: it is no news for readers."""
    warehouse.run(as_of=LATER)
    ahead = replace(current(warehouse.home), as_of="2199-01-01T00:00:00")
    manifest = warehouse.home.current / MANIFEST
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(asdict(ahead)))

    warehouse.run(as_of=LATER)

    assert day_of(warehouse) == LATER


def test_dbt_says_in_one_line_why_it_did_not_publish(
    warehouse: Warehouse, parsed: Refresher
) -> None:
    warehouse.run(as_of=LATER)

    def said(*arguments: str) -> str:
        ended = dbt(warehouse.home, "run", *arguments)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    leave_parse(parsed, warehouse.home, as_of=date.fromisoformat(EARLIER))
    assert (
        "not published: the run was as of 2026-05-10, the publication is of 2026-06-15; to replace "
        "it all the same add publish_past: true to the vars; the last publication stands\n"
    ) in said("--vars", f"{{as_of: {EARLIER}}}")
    leave_parse(parsed, warehouse.home)
    assert (
        "not published: the run was partial, without pools, tasks; `dbt run` builds all and "
        "publishes; the last publication stands\n"
    ) in said("--exclude", "pools", "tasks")


def test_a_run_as_of_the_same_day_or_a_later_one_or_now_publishes(warehouse: Warehouse) -> None:
    for number, as_of in enumerate(
        [EARLIER + "T23:00:00", EARLIER, LATER, (datetime.now(UTC) - timedelta(days=1)).isoformat()]
    ):
        outcome(warehouse, str(number))
        warehouse.run(as_of=as_of.partition("+")[0])
        assert day_of(warehouse) == as_of[:10]
        assert current(warehouse.home).rows["executions"] == number + 1
    warehouse.refresher.invoke(["run"])
    assert day_of(warehouse) > as_of[:10]


def test_a_refresh_says_that_it_did_not_publish(warehouse: Warehouse) -> None:
    refresh = warehouse.refresher.refresh
    first = refresh(as_of=LATER, with_tests=False)

    kept = refresh(as_of=EARLIER, with_tests=False)
    assert (kept.is_published, kept.publication) == (False, first.publication)

    told = refresh(as_of=EARLIER, publish=True, with_tests=False)
    assert (told.is_published, told.publication.as_of[:10]) == (True, EARLIER)


def test_what_a_run_did_not_build_is_not_published(warehouse: Warehouse) -> None:
    outcome(warehouse, "first")
    warehouse.run()
    tables = set(current(warehouse.home).rows)
    outcome(warehouse, "second")
    with duckdb.connect(str(warehouse.home.warehouse)) as built:
        built.execute("create table of_a_model_that_is_no_more as select 1 as n")
        built.execute("create table tasks__dbt_tmp as from tasks")
        built.execute("create index of_it on of_a_model_that_is_no_more (n)")

    for arguments in ((), ("--full-refresh",)):
        warehouse.run(*arguments)
        assert set(current(warehouse.home).rows) == tables
        with duckdb.connect(str(warehouse.home.learning_db), read_only=True) as reader:
            named = reader.execute("select table_name from duckdb_tables()").fetchall()
            assert {name for (name,) in named} == tables
            assert reader.execute("select count(*) from executions").fetchall() == [(2,)]


@pytest.mark.usefixtures("parsed_already")
def test_a_publication_beside_the_home_leaves_the_home_as_it_is(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    outcome(warehouse, "first")
    warehouse.run()
    home, into = warehouse.home, tmp_path / "earlier"
    outcome(warehouse, "second")
    before = current(home), home.warehouse.stat()

    for as_of in ("2026-05-09", EARLIER):
        made = refresh_into(home, into, as_of=as_of)
        assert made.publication == current(Home(into))

    assert (current(home), home.warehouse.stat()) == before
    report = build_report(Home(into), as_of=EARLIER)
    assert report.summary.executions == 2
    assert {entry.name for entry in into.iterdir()} == {
        "published", "learning.db", "spool", "refresh.lock", "refresh.turn", "refresh.pid",
    }  # fmt: skip
    assert [entry.name for entry in (into / "published").iterdir() if not entry.is_symlink()] == [
        made.publication.id
    ]
    warehouse.run()
    assert current(home).rows["executions"] == 2


@pytest.mark.parametrize(
    ("as_of", "said"),
    [("2200-01-01", "as_of must be a date"), ("2199-01-01", "as_of must be no more than a day")],
)
def test_a_day_that_is_far_ahead_is_refused_before_anything_is_loaded(
    warehouse: Warehouse, tmp_path: Path, as_of: str, said: str
) -> None:
    outcome(warehouse, "first")
    with pytest.raises(ProjectError, match=said):
        warehouse.refresher.refresh(as_of=as_of)
    with pytest.raises(ProjectError, match=said):
        refresh_into(warehouse.home, tmp_path / "ahead", as_of=as_of)
    assert not warehouse.home.staging.exists()
    assert not (tmp_path / "ahead").exists()


def test_a_day_that_is_far_ahead_is_refused_by_dbt_too(warehouse: Warehouse) -> None:
    with pytest.raises(RefreshError, match="as_of must be no more than a day ahead of now, "):
        warehouse.run(as_of=str((datetime.now(UTC) + timedelta(days=2)).date()))
