"""F3, F5, F13: dbt runs that die, and what is rebuilt after files are damaged or gone."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from orb_learning import _faults
from orb_learning import warehouse as file
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.refresh import Refresher

from ._homes import audit, new_uuid, outcome_line, settle, write_segment
from ._processes import Child, Ended, Pace
from ._result import Result

AS_OF = "2026-06-15"
KILLS = 3
EARLY = ("warehouse.copied", "load.committed", "refresh.loaded", "refresh.built")
POINTS = (*EARLY, *(point for point in _faults.POINTS if point.startswith("publish.")))

TEMPLATE_TASKS = frozenset(UUID(int=number, version=4) for number in range(1, 31))

pace = Pace(run=2000)
Tables = dict[str, list[tuple[Any, ...]]]


@functools.cache
def parsed_project() -> Refresher:
    """Parse the dbt project once; forked children go on with it."""
    with tempfile.TemporaryDirectory() as folder:
        refresher = Refresher(Path(folder) / "home")
        refresher.invoke(["list", "--resource-type", "source"])
    gc.collect()
    gc.freeze()  # each child would look through the parsed project, and copy it
    return refresher


class Warehouse:
    """A home whose dbt runs in forked children. Each method but `write` is for one of them."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self._manifest = parsed_project()._manifest

    def write(self, tasks: list[UUID], chance: random.Random) -> None:
        """Write an outcome of each task."""
        name = f"{chance.getrandbits(60):015x}.jsonl"
        moments = (f"2026-06-{chance.randrange(1, 15):02}T12:00:00Z" for _ in tasks)
        lines = [
            outcome_line(task, text="cache it", occurred_at=moment, success=task.int % 4 > 0)
            for task, moment in zip(tasks, moments, strict=True)
        ]
        write_segment(self.home, name, lines)

    def run(self, *arguments: str, command: str = "run") -> None:
        refresher = Refresher(self.home.root)
        refresher._manifest = self._manifest
        # In this child alone, a warehouse is copied whenever it has grown at all.
        file.SMALL, file.GROWTH, file.REST = 0, 1.0, 0
        refresher.invoke([command, *arguments, "--vars", f"{{as_of: '{AS_OF}'}}"])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home.learning_db), read_only=True) as reader:
            return reader.execute(sql).fetchall()

    def published(self) -> tuple[str, Tables]:
        """Return the publication in force and all its rows, counted as its manifest does."""
        publication = current(self.home)
        tables = read_tables(self.home.learning_db)
        for name, rows in publication.rows.items():
            if len(tables[f"main.{name}"]) != rows:
                raise ValueError(f"{name}: {len(tables[f'main.{name}'])} rows, not {rows}")
        return publication.id, tables


def read_tables(path: Path) -> Tables:
    """Return every table of a database, its rows in one order."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() order by 1"
        ).fetchall()
        return {
            name: connection.execute(f"from {name} order by all").fetchall() for (name,) in names
        }


def fresh(root: Path, result: Result) -> Warehouse:
    """Return a home of its own that has been built once."""
    if os.getpid() not in _templates:
        folder = tempfile.mkdtemp(prefix="faults-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        warehouse = Warehouse(Path(folder) / "home")
        warehouse.write(sorted(TEMPLATE_TASKS), random.Random(0))
        settle(result, "the template", warehouse.run)
        _templates[os.getpid()] = warehouse.home.root
    shutil.copytree(
        _templates[os.getpid()], root, symlinks=True, ignore=shutil.ignore_patterns("logs")
    )
    return Warehouse(root)


_templates: dict[int, Path] = {}


def killed_run(warehouse: Warehouse, chance: random.Random, result: Result, *, early: bool) -> str:
    """Kill one run at a crash point or at random; return where."""
    where = "at random"
    if chance.random() < 0.5:
        where = chance.choice(EARLY if early else POINTS)

        def work(_: int) -> None:
            _faults.arm(where)
            warehouse.run()

        ended = Child(work).wait()
    else:
        ended = pace.kill_at_random("run", warehouse.run, chance, every=0)
    _count(ended, result, where)
    return where


def _count(ended: Ended, result: Result, where: str) -> None:
    result.trials += 1
    result.faults += ended.is_killed
    if ended.is_hung:
        result.hang(f"a run killed {where}")
    elif ended.error:
        result.fail(f"a run killed {where} failed: {ended.error}")


def running(seed: int, folder: Path) -> Result:
    """Kill runs one after the other; what is published stays whole, and the next run heals."""
    chance = random.Random(seed)
    result = Result()
    warehouse = fresh(folder / "home", result)
    tasks = set(TEMPLATE_TASKS)
    before = settle(result, "the publication before", warehouse.published)
    for _ in range(chance.randrange(1, KILLS + 1)):
        new = [new_uuid(chance) for _ in range(chance.randrange(1, 60))]
        warehouse.write(new, chance)
        tasks |= set(new)
        early = chance.random() < 0.6
        where = killed_run(warehouse, chance, result, early=early)
        before = check_published(result, warehouse, before, f"a run killed {where}", where)
    settle(result, "the run afterwards", warehouse.run)
    audit(result, warehouse.home, tasks, "a killed run", also=set())
    check_tasks(result, warehouse, tasks, "a killed run")
    check_full_refresh(result, warehouse, "a killed run")
    return result


def check_published(
    result: Result, warehouse: Warehouse, before: Any, what: str, where: str
) -> Any:
    """See that the publication is the one before, unchanged, or a whole new one."""
    ended = Child(lambda _: warehouse.published()).wait()
    if not ended.is_done:
        result.half_publish(f"{what}: {ended.error or 'the reader died'}")
        return before
    identity, tables = ended.value
    if identity == before[0] and tables != before[1]:
        result.half_publish(f"{what}: {identity} changed")
    early = where in EARLY or where.startswith(("publish.copied", "publish.ver"))
    if identity != before[0] and early:
        result.half_publish(f"{what}: {identity} was published all the same")
    return ended.value


def check_tasks(result: Result, warehouse: Warehouse, tasks: set[UUID], what: str) -> None:
    """See that every task is published once."""
    rows = settle(
        result,
        f"{what}: executions",
        lambda: warehouse.query("select task_id, count(*) from executions group by all"),
    )
    counts = dict(rows or [])
    result.lose(len(tasks - counts.keys()), f"{what}: tasks not published")
    result.double(sum(counts.values()) - len(counts), f"{what}: tasks published twice")
    if counts.keys() - tasks:
        result.fail(f"{what}: {len(counts.keys() - tasks)} tasks that nobody wrote")


def check_full_refresh(result: Result, warehouse: Warehouse, what: str) -> None:
    """See that a build from scratch has the same rows in all tables."""
    built = settle(result, f"{what}: the publication", warehouse.published)
    settle(result, f"{what}: the full refresh", lambda: warehouse.run("--full-refresh"))
    rebuilt = settle(result, f"{what}: the rebuilt publication", warehouse.published)
    _compare(result, built, rebuilt, what)


def _compare(result: Result, before: Any, after: Any, what: str) -> None:
    if before is None or after is None:
        return
    if before[1].keys() != after[1].keys():
        result.half_publish(f"{what}: other tables: {before[1].keys() ^ after[1].keys()}")
    for name, rows in before[1].items():
        if after[1].get(name) != rows:
            result.half_publish(f"{what}: {name} is another after a rebuild")


def rerunning(seed: int, folder: Path) -> Result:
    """Kill a run and the runs that come after it, then let one end."""
    chance = random.Random(seed)
    result = Result()
    warehouse = fresh(folder / "home", result)
    new = [new_uuid(chance) for _ in range(30)]
    warehouse.write(new, chance)
    for _ in range(chance.randrange(2, 4)):
        killed_run(warehouse, chance, result, early=False)
    settle(result, "the run afterwards", warehouse.run)
    check_tasks(result, warehouse, {*new, *TEMPLATE_TASKS}, "killed runs")
    check_full_refresh(result, warehouse, "killed runs")
    return result


def losing(seed: int, folder: Path) -> Result:
    """Damage or delete what is rebuilt from staging; two refreshes later all is as before."""
    chance = random.Random(seed)
    result = Result(trials=1, faults=1)
    warehouse = fresh(folder / "home", result)
    home = warehouse.home
    before = settle(result, "the publication before", warehouse.published)
    kind = chance.choice(
        ("flip", "flip", "flip", "truncate", "garbage", "delete")
        if chance.random() < 0.7
        else ("delete the link", "delete all published", "damage the copy")
    )
    _damage(home, kind, chance)
    new = [new_uuid(chance) for _ in range(10)]
    if chance.random() < 0.5:
        warehouse.write(new, chance)
    else:
        new = []
    errors = []
    for _ in range(2):
        ended = Child(lambda _: warehouse.run()).wait()
        if ended.is_done:
            break
        errors.append(ended.error or ("it hangs" if ended.is_hung else "it died of a signal"))
        result.hangs += ended.is_hung
    else:
        result.fail(f"{kind}: not rebuilt by two refreshes: {errors}")
        return result
    check_tasks(result, warehouse, {*new, *TEMPLATE_TASKS}, kind)
    after = settle(result, f"{kind}: the publication after", warehouse.published)
    if not new and before and after:
        _compare(result, before, after, f"{kind}, as before")
    check_full_refresh(result, warehouse, kind)
    return result


def _damage(home: Home, kind: str, chance: random.Random) -> None:
    if kind == "flip":
        data = bytearray(home.warehouse.read_bytes())
        block = chance.randrange(0, max(1, len(data) // 4096)) * 4096
        for at in range(block, min(block + 4096, len(data))):
            data[at] ^= 0xFF
        home.warehouse.write_bytes(data)
    elif kind == "truncate":
        size = home.warehouse.stat().st_size
        # The first three are what a kill among DuckDB's first writes leaves.
        os.truncate(home.warehouse, chance.choice((0, 4096, 8192, chance.randrange(size))))
    elif kind == "garbage":
        home.warehouse.write_bytes(chance.randbytes(50_000))
    elif kind == "delete":
        home.warehouse.unlink()
    elif kind == "delete the link":
        home.learning_db.unlink()
    elif kind == "delete all published":
        shutil.rmtree(home.published)
    else:
        copy = home.learning_db.resolve()
        copy.chmod(0o600)
        copy.write_bytes(chance.randbytes(50_000))
