"""A copy of the last publication is brought up to date, and says what a whole copy would say."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import duckdb
import pytest

from orb_learning import Telemetry, _faults
from orb_learning.events import Feedback
from orb_learning.home import Home
from orb_learning.publication import KEPT, Publication, _publish, _update, current
from orb_learning.publication._copy import attached
from orb_learning.staging import load
from publishing import AS_OF, KEYED, publish, published, warehouse_of

FEEDBACK = UUID(int=7)
TABLES = ("executions", "feedback", "marts", "tasks")


class Built:
    """A warehouse with the tables that grow, changed by hand as the models change them."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def create(self) -> None:
        with warehouse_of(self.home) as warehouse:
            self._create(warehouse)

    def _create(self, warehouse: duckdb.DuckDBPyConnection) -> None:
        warehouse.execute("create schema main_intermediate")
        warehouse.execute(
            "create table main_intermediate.int_attempts"
            " (task_id varchar, load_id bigint, first_load_id bigint)"
        )
        warehouse.execute(
            "create table executions (task_id varchar, parent_task_id varchar,"
            " timestamp timestamp, note varchar, repo varchar, content_hash varchar,"
            " load_id bigint)"
        )
        warehouse.execute("create index by_note on executions (note)")
        warehouse.execute(
            "create table tasks (task_id varchar, first_routed_at timestamp, load_id bigint)"
        )
        warehouse.execute(
            "create table feedback (feedback_id uuid, timestamp timestamp, load_id bigint)"
        )
        warehouse.execute("create table marts (name varchar, value integer)")

    def load(self, *tasks: str, attempts: int = 1, mart: int | None = None) -> None:
        """Load something, and replace the rows of these tasks."""
        with Telemetry(self.home.root, strict=True) as telemetry:
            telemetry.capture_feedback_sync("task", feedback_type="accepted")
        load_id = load(self.home).load_id
        with warehouse_of(self.home) as warehouse:
            for task in tasks:
                ((first,),) = warehouse.execute(
                    "select coalesce(min(first_load_id), ?) from main_intermediate.int_attempts"
                    " where task_id = ?",
                    [load_id, task],
                ).fetchall()
                for table in ("main_intermediate.int_attempts", "tasks"):
                    warehouse.execute(f"delete from {table} where task_id = ?", [task])
                warehouse.execute(
                    "delete from executions where coalesce(parent_task_id, task_id) = ?", [task]
                )
                warehouse.execute(
                    "insert into main_intermediate.int_attempts values (?, ?, ?)",
                    [task, load_id, first],
                )
                for attempt in range(attempts):
                    identity, parent = (f"{task}/{attempt}", task) if attempt else (task, None)
                    warehouse.execute(
                        "insert into executions values"
                        " (?, ?, timestamp '2026-03-01', ?, 'acme/api', 'a content', ?)",
                        [identity, parent, f"load {load_id}", load_id],
                    )
                if attempts:
                    warehouse.execute(
                        "insert into tasks values (?, timestamp '2026-03-01', ?)",
                        [task, load_id],
                    )
            warehouse.execute(
                "insert into feedback select feedback_id, occurred_at, load_id"
                " from staging.raw.feedback where load_id > ("
                " select coalesce(max(load_id), 0) from feedback)"
            )
            if mart is not None:
                warehouse.execute("delete from marts")
                warehouse.execute("insert into marts values ('mart', ?)", [mart])

    def publish(self, as_of: str = AS_OF) -> Publication:
        with warehouse_of(self.home) as warehouse:
            return publish(warehouse, self.home, schema="main", as_of=as_of)

    def differences(self) -> list[tuple[Any, ...]]:
        """Return the rows that only the warehouse or only the publication has."""
        with warehouse_of(self.home) as connection:
            connection.execute(f"attach '{self.home.learning_db}' as published (read_only)")
            found: list[tuple[Any, ...]] = []
            for table in TABLES:
                for one, other in (("main", "published.main"), ("published.main", "main")):
                    found += connection.execute(
                        f"from {one}.{table} except all from {other}.{table}"
                    ).fetchall()
        return found


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Home:
    """A home with as many publications as are kept."""
    made = Built(Home(tmp_path_factory.mktemp("template") / "home"))
    made.create()
    for number in range(KEPT):
        made.load(f"task {number}", "again", mart=number)
        made.publish()
    return made.home


@pytest.fixture
def built(template, home) -> Built:
    shutil.copytree(template.root, home.root, symlinks=True)  # with their times
    return Built(home)


@pytest.fixture
def whole_copies(monkeypatch) -> Iterator[list[str]]:
    """The publications that were copied as a whole."""
    made: list[str] = []
    real = _publish._copied

    def copied(warehouse: Any, making: Any, target: Any) -> Any:
        made.append(making.name)
        return real(warehouse, making, target)

    monkeypatch.setattr(_publish, "_copied", copied)
    return made


def test_every_change_arrives_and_nothing_is_copied_as_a_whole(built, whole_copies):
    chance = random.Random(7)
    for number in range(3 * KEPT):
        tasks = [f"task {chance.randrange(8)}" for _ in range(chance.randrange(4))]
        built.load(*set(tasks), attempts=chance.randrange(4), mart=chance.choice([None, number]))
        before = current(built.home)
        made = built.publish()
        assert made.id != before.id
        assert current(built.home) == made
        assert built.differences() == []
        with duckdb.connect(str(built.home.learning_db), read_only=True) as reader:
            for table in TABLES:
                count = reader.execute(f"select count(*) from {table}").fetchone()
                assert count == (made.rows[table],)
    assert whole_copies == []
    assert len(published(built.home)) == KEPT


def test_feedback_that_is_given_again_replaces_the_row(built, whole_copies):
    built.load("task 1")
    with warehouse_of(built.home) as warehouse:
        warehouse.execute(
            "create or replace table feedback as"
            " select (select min(feedback_id) from staging.raw.feedback) as feedback_id,"
            " timestamp '2026-03-01' as timestamp, max(load_id) as load_id from feedback"
        )
        warehouse.execute("comment on table feedback is 'built by the test'")
    built.publish()
    whole_copies.clear()
    for _ in range(3):
        with Telemetry(built.home.root, strict=True) as telemetry:
            telemetry.capture_sync(
                Feedback(task_id=uuid4(), feedback_id=FEEDBACK, feedback_type="accepted")
            )
        load_id = load(built.home).load_id
        with warehouse_of(built.home) as warehouse:
            warehouse.execute(f"delete from feedback where feedback_id = '{FEEDBACK}'")
            warehouse.execute(
                "insert into feedback values (?, timestamp '2026-03-01', ?)", [FEEDBACK, load_id]
            )
        built.publish()
    assert whole_copies == []
    assert built.differences() == []


def test_its_files_are_as_private_as_a_copy_s_and_its_indexes_stay(built, whole_copies):
    built.load("task 1", mart=7)
    folder = built.home.published / built.publish().id
    assert whole_copies == []
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {
        "learning.db": "0o400",
        "manifest.json": "0o400",
    }
    with duckdb.connect(str(built.home.learning_db), read_only=True) as reader:
        assert reader.execute("select index_name from duckdb_indexes()").fetchall() == [
            ("by_note",)
        ]


def test_where_nothing_changed_nothing_is_published(built):
    before = current(built.home)
    names, seen = published(built.home), built.home.current.lstat().st_mtime_ns

    assert built.publish() == before

    assert published(built.home) == names
    assert built.home.current.lstat().st_mtime_ns > seen, "it was seen to be up to date"


@pytest.mark.parametrize("how", ["gone", "leads elsewhere"])
def test_a_link_that_readers_lost_is_made_again_though_nothing_changed(built, how):
    made = current(built.home)
    target = built.home.learning_db.readlink()
    built.home.learning_db.unlink()
    if how == "leads elsewhere":
        built.home.learning_db.symlink_to("nowhere")
    assert built.publish() == made
    assert built.home.learning_db.readlink() == target


def test_another_day_is_published_though_nothing_changed(built):
    before = current(built.home)
    assert built.publish("2026-03-01T23:59:59+00:00") == before
    after = built.publish("2026-03-02T00:00:00+00:00")
    assert after.id != before.id
    assert after.rows == before.rows


@pytest.mark.parametrize(
    "statement",
    [
        "insert into marts values ('another', 1)",
        "update marts set value = value + 1",
        "alter table marts add column more integer",
        "create index another on marts (name)",
        "create table added as select 1 as number",
        "drop table marts",
    ],
)
def test_a_change_that_no_load_brought_is_published(built, statement):
    before = current(built.home)
    with warehouse_of(built.home) as warehouse:
        warehouse.execute(statement)
    after = built.publish()
    assert after.id != before.id
    with warehouse_of(built.home) as warehouse:
        tables = warehouse.execute(
            "select table_name, estimated_size from duckdb_tables() where database_name ="
            " 'warehouse' and schema_name = 'main'"
        ).fetchall()
    own = {"execution_embeddings", "embedded_contents"}
    assert set(after.rows) - own == {name for name, _ in tables}


@pytest.mark.parametrize("table", ["executions", "tasks", "feedback"])
def test_a_table_that_was_built_from_scratch_is_copied_as_a_whole(built, whole_copies, table):
    with warehouse_of(built.home) as warehouse:
        warehouse.execute(f"create table rebuilt as from {table}")
        warehouse.execute(f"drop table {table}")
        warehouse.execute(f"create table {table} as from rebuilt")
        warehouse.execute("drop table rebuilt")
        if table == "executions":
            warehouse.execute("update executions set note = 'as another release writes it'")
    built.publish()
    assert len(whole_copies) == 1
    assert built.differences() == []


def test_one_of_another_release_is_copied_as_a_whole(built, whole_copies, monkeypatch):
    monkeypatch.setattr(_publish, "version", lambda _: "9.9")
    assert built.publish().release == "9.9"
    assert len(whole_copies) == 1


def test_what_differs_after_all_is_thrown_away(built, whole_copies, caplog):
    with warehouse_of(built.home) as warehouse:
        # As no load ever brings it.
        warehouse.execute("update executions set load_id = load_id + 100 where task_id = 'task 0'")
    built.load("task 1")
    with caplog.at_level(logging.INFO):
        built.publish()
    assert any("executions differs" in line for line in caplog.messages)
    assert len(whole_copies) == 1
    assert built.differences() == []


@pytest.mark.parametrize(
    ("change", "is_equal"),
    [
        ("select 1", True),
        ("delete from {tasks} where load_id = 1 and task_id = 'a'", False),
        ("insert into {tasks} values ('d', null, 1)", False),
        ("update {tasks} set load_id = 2 where task_id = 'a'", False),
        ("update {tasks} set load_id = 3 where task_id = 'a'", False),
        ("update {tasks} set task_id = 'd' where load_id = 3", False),
    ],
    ids=[
        "nothing",
        "a row is gone",
        "a row came",
        "it is of another old load",
        "it is of a new load",
        "it has a new key",
    ],
)
def test_large_tables_are_compared_by_rows_of_loads_and_new_keys(tmp_path, change, is_equal):
    rows = "values ('a', null::timestamp, 1::bigint), ('b', null, 2), ('c', null, 3)"
    made = f"create table {{}} as from ({rows}) as made (task_id, first_routed_at, load_id)"
    with duckdb.connect() as warehouse:
        warehouse.execute(made.format("main.tasks"))
        with attached(warehouse, tmp_path / "learning.db"):
            warehouse.execute(made.format("publication.main.tasks"))
            for side in ("main.tasks", "publication.main.tasks"):
                warehouse.execute("begin")
                warehouse.execute(change.format(tasks=side))
                found = _update._is_equal(warehouse, "main", "tasks", KEYED["tasks"], since=2)
                warehouse.execute("rollback")
                assert found is is_equal, side


def test_one_that_has_grown_is_copied_as_a_whole(built, whole_copies, monkeypatch, caplog):
    monkeypatch.setattr(_publish, "SMALL_BYTES", 0)
    monkeypatch.setattr(_update, "MAX_GROWTH", 0.1)
    built.load("task 1")
    with caplog.at_level(logging.INFO):
        built.publish()
    assert any("a fresh copy would take" in line for line in caplog.messages)
    assert len(whole_copies) == 1


def test_a_small_one_may_grow_by_more_than_its_half(built, whole_copies, monkeypatch):
    monkeypatch.setattr(_update, "MAX_GROWTH", 0.1)
    built.load("task 1")
    built.publish()
    assert whole_copies == []


def test_nothing_is_written_into_a_file_that_readers_had(built, whole_copies):
    had = {
        path: (path.stat().st_ino, path.read_bytes())
        for path in built.home.published.glob("2*/learning.db")
    }
    built.load("task 1", "again")
    made = built.publish()
    left = [path for path in had if path.exists()]
    assert len(left) == KEPT - 1
    for path in left:
        assert (path.stat().st_ino, path.read_bytes()) == had[path]
    fresh = built.home.published / made.id / "learning.db"
    assert fresh.stat().st_ino not in {inode for inode, _ in had.values()}
    assert whole_copies == []


def test_a_reader_of_the_last_one_reads_on(built, whole_copies):
    with duckdb.connect(str(built.home.learning_db), read_only=True) as reader:
        before = reader.execute("from executions order by all").fetchall()
        for number in range(KEPT + 1):
            built.load("task 1", f"task {number}", "again")
            built.publish()
        assert reader.execute("from executions order by all").fetchall() == before
    assert whole_copies == []


def test_a_load_id_that_a_restored_staging_gives_again_is_another_load(built, whole_copies):
    kept = {path: path.read_bytes() for path in (built.home.staging, built.home.warehouse)}
    built.load("task 1", "of the lost load")
    built.publish()
    for path, content in kept.items():
        path.write_bytes(content)
    for segment in built.home.spool.iterdir():
        segment.unlink()
    built.load("task 1", "of the load that takes its number")
    built.publish()
    assert len(whole_copies) == 1
    assert built.differences() == []


def test_what_a_kill_after_the_swap_left_is_removed_though_nothing_is_new(built, children):
    built.load("task 1")
    with warehouse_of(built.home) as warehouse:  # what an erasure has everything built anew for
        warehouse.execute("create table rebuilt as from executions where task_id != 'task 0'")
        warehouse.execute("drop table executions")
        warehouse.execute("alter table rebuilt rename to executions")
    with duckdb.connect(str(built.home.staging)) as staging:
        staging.execute(
            "insert into ledger.erasures"
            " select 'task', 'a hash', max(load_id), true from ledger.loads"
        )

    def publish_and_die() -> None:
        _faults.arm("publish.swapped")
        built.publish()

    dying = children.start(publish_and_die)
    os.waitid(os.P_PID, dying, os.WEXITED | os.WNOWAIT)
    children.kill(dying)
    assert len(published(built.home)) == KEPT + 1

    standing = current(built.home)
    assert built.publish() == standing
    assert published(built.home) == [standing.id]


@pytest.mark.parametrize("manifest", ["", '{"id": "x"}'])
def test_one_without_a_manifest_is_left_alone(built, whole_copies, manifest):
    last = built.home.learning_db.resolve().parent
    (last / "manifest.json").chmod(0o600)
    (last / "manifest.json").write_text(manifest)
    built.load("task 1")
    built.publish()
    assert len(whole_copies) == 1


def test_one_that_was_written_to_is_replaced_though_nothing_changed(built, whole_copies):
    database = built.home.learning_db.resolve()
    database.chmod(0o600)
    with database.open("r+b") as file:
        file.seek(-5000, os.SEEK_END)
        file.write(b"x" * 1000)
    before = current(built.home)
    assert built.publish().id != before.id
    assert built.differences() == []


def test_a_damaged_one_is_copied_as_a_whole(built, whole_copies):
    last = built.home.learning_db.resolve().parent
    (last / "learning.db").chmod(0o600)
    (last / "learning.db").write_bytes(b"x" * 20_000)
    built.load("task 1")
    built.publish()
    assert len(whole_copies) == 1
    assert built.differences() == []


@pytest.mark.parametrize("point", [name for name in _faults.POINTS if name.startswith("publish.")])
def test_a_kill_leaves_what_was_published_or_what_was_to_be(built, children, point):
    built.load("task 1", "again", mart=99)
    before = asdict(current(built.home))

    def publish_and_die() -> None:
        _faults.arm(point)
        built.publish()

    dying = children.start(publish_and_die)
    ended = os.waitid(os.P_PID, dying, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGKILL)
    children.kill(dying)

    after = asdict(current(built.home))
    if after == before:
        with duckdb.connect(str(built.home.learning_db), read_only=True) as reader:
            assert reader.execute("select value from marts").fetchall() == [(KEPT - 1,)]
    else:
        assert built.differences() == []
    built.publish()
    assert built.differences() == []
    assert not [name for name in published(built.home) if name.startswith(".")]


def test_a_system_that_cannot_share_blocks_copies_them(tmp_path, monkeypatch):
    (tmp_path / "old").write_bytes(b"x" * 100_000)
    monkeypatch.delattr(os, "copy_file_range")
    _update.clone(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"x" * 100_000
