"""dbt and dbt-duckdb, on a project of three models with a plugin that notes what it is asked."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

pytest.importorskip("dbt.adapters.duckdb")

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

PLUGIN = """
import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags
from dbt_common.invocation import get_invocation_id

noted, stored, invocations = [], [], []
makes_staging = True

class Plugin(BasePlugin):
    def initialize(self, plugin_config):
        noted.append("initialize")

    def update_connection_config(self, creds, config):
        noted.append(f"update_connection_config of {get_flags().WHICH}")
        invocations.append(get_invocation_id())
        if makes_staging:
            path = creds.attach[0].path
            duckdb.connect(path).execute("create table if not exists t as select 1 as i").close()

    def configure_connection(self, conn):
        noted.append("configure_connection")

    def configure_cursor(self, cursor):
        invocations.append(get_invocation_id())

    def store(self, target_config):
        stored.append(target_config.config)
"""

PROJECT = """
name: toy
version: "1.0.0"
profile: toy
model-paths: [models]
macro-paths: [macros]
flags:
  send_anonymous_usage_stats: false
  skip_nodes_if_on_run_start_fails: {skips}
on-run-start: "{{{{ var('start', 'select 1') }}}}"
on-run-end: "{{{{ ended(results) }}}}"
"""

PROFILE = """
toy:
  target: duckdb
  outputs:
    duckdb:
      type: duckdb
      path: "{folder}/warehouse.duckdb"
      attach: [{{path: "{folder}/staging.duckdb", alias: staging, read_only: true}}]
      plugins: [{{module: toy_plugin, alias: toy}}]
      threads: 1
"""

ENDED = """
{% macro ended(results) %}
  {%- if execute and flags.WHICH == 'run' -%}
    {%- set statuses = {} -%}
    {%- for result in results -%}
      {%- do statuses.update({result.node.name: result.status | string}) -%}
    {%- endfor -%}
    {%- do adapter.store_relation(
        'toy', api.Relation.create(database=target.database, schema=target.schema, identifier='x'),
        [], '', '', statuses
    ) -%}
  {%- endif -%}
{% endmacro %}
"""

MODELS = {
    "plain": """
{{ config(materialized='table') }} select '{{ var('text', 'x') }}' as text from staging.t
""",
    "broken": "select {{ 'error(1)' if var('breaks', false) else 1 }} as i",
    "growing": """
{{ config(
    materialized='incremental', unique_key='i', incremental_strategy='delete+insert',
    post_hook="{{ 'select error(1)' if var('breaks', false) else 'select 1' }}"
) }}
select range as i, {{ var('run', 1) }} as run
{%- if var('run', 1) > 1 %}, 1 as added {% endif %} from range(10)
""",
}


class Toy:
    """A dbt project in a folder, run in this process."""

    def __init__(self, folder: Path, plugin: Any) -> None:
        self.folder = folder
        self.plugin = plugin
        self.staging = folder / "staging.duckdb"
        for name in ("models", "macros"):
            (folder / name).mkdir()
        (folder / "profiles.yml").write_text(PROFILE.format(folder=folder))
        (folder / "macros" / "ended.sql").write_text(ENDED)
        for name, sql in MODELS.items():
            (folder / "models" / f"{name}.sql").write_text(sql)

    def invoke(
        self, command: str, *selected: str, skips: bool = True, closes: bool = True, **given: object
    ) -> SimpleNamespace:
        """Run a command; return what became of it, its nodes and what the plugin noted."""
        (self.folder / "dbt_project.yml").write_text(PROJECT.format(skips=str(skips).lower()))
        for notes in (self.plugin.noted, self.plugin.stored, self.plugin.invocations):
            notes.clear()
        arguments = [command, "--project-dir", str(self.folder), "--profiles-dir", str(self.folder)]
        arguments += ["--quiet", "--log-level-file", "none", "--vars", repr(given)]
        if selected:
            arguments += ["--select", *selected]
        try:
            outcome = dbtRunner().invoke(arguments)
        finally:
            if closes:
                DuckDBConnectionManager.close_all_connections()
        nodes = {
            result.node.name: str(result.status)
            for result in getattr(outcome.result, "results", None) or []
            if result.node.resource_type == "model"
        }
        return SimpleNamespace(
            success=outcome.success,
            nodes=nodes,
            error=str(outcome.exception),
            noted=list(self.plugin.noted),
            stored=list(self.plugin.stored),
            invocations=list(self.plugin.invocations),
        )

    def read(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy_plugin.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.chdir(folder)
        import toy_plugin

        project = Toy(folder, toy_plugin)
        assert project.invoke("run").success
        yield project
        DuckDBConnectionManager.close_all_connections()
        sys.modules.pop("toy_plugin")


def test_a_plugin_is_asked_before_the_files_are_opened(toy):
    """`orb_learning.dbt_plugin` makes and loads staging in `update_connection_config`."""
    toy.staging.unlink()
    ran = toy.invoke("run", "plain")
    assert ran.success
    assert ran.noted == ["initialize", "update_connection_config of run", "configure_connection"]


@pytest.fixture
def compiled(toy, monkeypatch):
    """What became of a command whose attached file is missing; what it left is not collected."""
    monkeypatch.setattr(toy.plugin, "makes_staging", False)
    away = toy.staging.rename(toy.folder / "away.duckdb")
    gc.collect()
    gc.disable()
    try:
        yield toy.invoke("compile")
    finally:
        gc.enable()
        gc.collect()
        away.rename(toy.staging)


def test_a_command_that_is_not_run_attaches_too(compiled):
    """Why every command makes an empty staging file: without one, none gets through."""
    assert not compiled.success
    assert "update_connection_config of compile" in compiled.noted
    assert "staging.duckdb" in compiled.error


def test_a_failed_attach_keeps_the_files_of_the_next_command_open(toy, compiled, monkeypatch):
    """Closing all connections is not enough after one: garbage is left, which must be collected.

    It holds the warehouse open; the next command in the process joins it and attaches to it.
    """
    monkeypatch.setattr(toy.plugin, "makes_staging", True)
    assert toy.invoke("run", "plain").success
    with pytest.raises(duckdb.Error, match="Unique file handle conflict"):
        duckdb.connect(str(toy.staging))
    gc.collect()
    duckdb.connect(str(toy.staging)).close()


def test_files_stay_open_until_dbt_is_told_to_close_them(toy):
    """Why `Refresher` closes all connections after each command."""
    assert toy.invoke("run", "plain", closes=False).success
    try:
        with pytest.raises(duckdb.Error, match="Unique file handle conflict"):
            duckdb.connect(str(toy.staging))
    finally:
        DuckDBConnectionManager.close_all_connections()
    duckdb.connect(str(toy.staging)).close()


def test_a_second_command_on_open_files_is_another_invocation_of_the_same_plugin(toy):
    """Why the plugin compares invocations and refuses: it is not asked to load a second time."""
    first = toy.invoke("run", "plain", closes=False)
    second = toy.invoke("run", "plain")
    assert first.success and second.success
    assert second.noted == []
    assert not set(first.invocations) & set(second.invocations)


@pytest.fixture(scope="module")
def failed(toy):
    """A run in which one model fails at once, and an increment after its rows were replaced."""
    ran = toy.invoke("run", breaks=True, run=2)
    return SimpleNamespace(
        success=ran.success,
        stored=ran.stored,
        rows=toy.read("select run, count(*) from growing group by all"),
        left=toy.read("from duckdb_tables() where table_name like '%dbt_tmp%'"),
    )


def test_the_end_hook_runs_after_failed_models_and_knows_them(failed):
    """Publishing hangs on the statuses that `on-run-end` hands over, never on its being run."""
    assert not failed.success
    assert failed.stored == [{"plain": "success", "broken": "error", "growing": "error"}]


def test_a_failed_increment_leaves_the_rows_before_and_no_tables_of_its_own(failed):
    """A killed or failed model is at its old version, so the next run mends everything."""
    assert failed.rows == [(1, 10)]
    assert failed.left == []


@pytest.mark.parametrize("skips", [True, False])
def test_a_failed_start_hook_skips_the_models_only_with_the_flag(toy, skips):
    """Why dbt_project.yml sets `skip_nodes_if_on_run_start_fails`; the end hook runs anyhow."""
    ran = toy.invoke("run", "plain", skips=skips, start="select error(1)")
    assert not ran.success
    assert ran.nodes["plain"] == ("skipped" if skips else "success")
    assert len(ran.stored) == 1


@pytest.fixture(scope="module")
def changed(toy, failed):
    """The project after a run with an injecting variable, and a column more in an increment."""
    assert toy.invoke("run", "plain", "growing", text="' || upper('injected') || '", run=2).success
    return toy


def test_a_variable_becomes_part_of_the_sql(changed):
    """Why vars that reach a model are checked by a macro before: a quote in one ends the text."""
    assert changed.read("select text from plain") == [("INJECTED",)]


def test_an_increment_drops_new_columns_without_a_word(changed):
    """Why every incremental model says `on_schema_change`."""
    assert changed.read("select run, count(*) from growing group by all") == [(2, 10)]
    assert changed.read(
        "select column_name from duckdb_columns() where table_name = 'growing' order by all"
    ) == [("i",), ("run",)]
