"""`--json`: one document on standard output, its keys the fields of the reports."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands import COMMANDS, Ended, failed
from orb_learning import embeddings, refresh, upkeep
from orb_learning.cli._json import print_json
from orb_learning.embeddings import EmbeddingReport
from orb_learning.events import InvalidEvent
from orb_learning.importer import ImportReport
from orb_learning.publication import Publication
from orb_learning.refresh import RefreshReport
from orb_learning.staging import LoadReport, Quarantined, known_migrations
from orb_learning.upkeep import Backup, Import, PruneReport, Status
from publishing import publish_marts
from test_importer import ROW, write_json

Run = Callable[..., Ended]

SILENT = {("dbt",), ("demo",), ("schedule",)}
"""What they print is dbt's, a walk through what there is, and a log."""
WITH_FORMATS = {("query",), ("report",)}


def names_of(report: type[Any]) -> list[str]:
    return [field.name for field in fields(report)]


@pytest.fixture
def import_id(run: Run, tmp_path: Path) -> str:
    """Import a row that is accepted and one that is refused, and load them."""
    rows = [ROW, {**ROW, "success": "perhaps"}]
    imported = run("import", write_json(tmp_path / "runs.jsonl", rows), "--json")
    run("load")
    return str(imported.document["import_id"])


def test_every_command_that_prints_a_result_prints_it_for_programs():
    spelled = {
        path: {name for option in command.params for name in option.opts}
        for path, command in COMMANDS.items()
    }
    without = {path for path, names in spelled.items() if "--json" not in names}
    assert without == SILENT | WITH_FORMATS
    assert all("--format" in spelled[path] for path in WITH_FORMATS)


def test_values_are_spelled_as_json_has_them(capsys):
    print_json(
        {
            date(2026, 3, 1): [1, 0.5, None, True],
            "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "time": time(12, 30),
            "id": UUID(int=1),
            "path": Path("a/b"),
            "none": [float("nan"), float("inf"), Decimal("1.5")],
            "bytes": b"\xffa",
            "report": LoadReport(1),
            "event": InvalidEvent(claimed_type="feedback", reason="\x1b[2J", payload="{}"),
        }
    )
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.startswith('{\n  "2026-03-01": [\n    1,')
    found = json.loads(out)
    assert found.pop("event")["reason"] == "\x1b[2J"
    assert found == {
        "2026-03-01": [1, 0.5, None, True],
        "at": "2026-03-01T12:00:00+00:00",
        "time": "12:30:00",
        "id": str(UUID(int=1)),
        "path": "a/b",
        "none": [None, None, 1.5],
        "bytes": "\\xffa",
        "report": {
            "load_id": 1,
            "lines": 0,
            "loaded": 0,
            "duplicates": 0,
            "quarantined": 0,
            "must_erase": False,
        },
    }


def test_an_import_and_its_load_are_told(run, tmp_path):
    file = write_json(tmp_path / "runs.jsonl", [ROW, {**ROW, "success": "perhaps"}])
    tried = run("import", file, "--dry-run", "--json")
    assert (tried.code, list(tried.document)) == (2, names_of(ImportReport))
    assert tried.document["first"][0]["repo"] == ROW["repo"]
    assert tried.err.startswith("rejected: ")
    imported = run("import", file, "--json")
    assert (imported.code, imported.document["first"]) == (2, [])
    assert (imported.document["recorded"], imported.document["rejected"]) == (1, 1)
    assert list(imported.document["days"].values()) == [1]
    assert re.fullmatch(r"runs-[0-9]{8}-[0-9a-f]{6}", imported.document["import_id"])
    loaded = run("load", "--json").document
    assert list(loaded) == names_of(LoadReport)
    assert (loaded["loaded"], loaded["quarantined"]) == (1, 1)


def test_the_state_is_told(run, home, import_id):
    publish_marts(home)
    state = run("status", "--json").document
    assert list(state) == ["home", *names_of(Status)]
    assert state["home"] == str(home.root)
    assert (state["loaded_events"], state["quarantined"]) == (1, 1)
    assert list(state["publication"]) == names_of(Publication)
    assert datetime.fromisoformat(state["last_load_at"]).tzinfo is not None


def test_imports_are_listed_and_undone(run, import_id):
    (listed,) = run("imports", "list", "--json").document
    assert list(listed) == names_of(Import)
    assert (listed["import_id"], listed["rows"], listed["refused"]) == (import_id, 1, 1)
    assert run("imports", "undo", import_id, "--yes", "--json").document == listed
    assert run("imports", "list", "--json").document == []


def test_quarantine_is_told(run, import_id):
    (row,) = run("quarantine", "list", "--json").document
    assert list(row) == names_of(Quarantined)
    assert json.loads(row["line"])["success"] == "perhaps"
    assert run("quarantine", "show", row["quarantine_id"], "--json").document == row
    replayed = run("quarantine", "replay", "--json")
    assert list(replayed.document["still_invalid"]) == [row["quarantine_id"]]
    assert replayed.err == ""
    discard = ("quarantine", "discard", "--import", import_id, "--yes", "--json")
    assert run(*discard).document == {"discarded": 1}
    assert run(*discard).document == {"discarded": 0}


def test_the_life_of_the_data_is_told(run, home, import_id):
    made = run("backup", "--json").document
    assert list(made) == names_of(Backup)
    assert Path(made["path"]).is_file()
    restored = run("restore", "--yes", "--json").document
    assert restored == {**made, "path": str(home.staging)}
    pruned = run("prune", "--yes", "--json").document
    assert list(pruned) == names_of(PruneReport)
    lowered = run("prune", "--floor", "2020-01-01", "--json").document
    assert (list(lowered), lowered["executions_from"]) == (names_of(PruneReport), "2020-01-01")


def test_a_question_and_what_it_is_about_are_no_part_of_the_document(run, import_id, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("what?\ny\n"))
    ended = run("erase", "--task", "T-1", "--json")
    assert ended.document["requested"] == 1
    assert ended.document["found"]["tasks"] == 0
    assert ended.err.startswith("nothing of them was found")
    assert ended.err.count("Forget task T-1 for good? [y/N]: ") == 2


def test_migrations_are_told_without_their_sql(run):
    newest = known_migrations()[-1]
    named = {"version": newest.version, "name": newest.name}
    planned = run("migrate", "upgrade", "--plan", "--json").document
    assert (planned["applied"][-1], planned["taken_back"]) == (named, [])
    run("migrate", "upgrade")
    assert run("migrate", "validate", "--json").document == {"valid": True}
    assert run("migrate", "status", "--json").document[-1] == {**named, "state": "applied"}
    down = run("migrate", "downgrade", "--to", newest.version - 1, "--yes", "--json").document
    assert (down["applied"], down["taken_back"]) == ([], [named])
    assert Path(down["backup"]).is_file()
    assert run("migrate", "reset", "--yes", "--json").document["applied"][-1] == named


def test_a_refresh_is_told(run, home, monkeypatch, tmp_path):
    report = RefreshReport(publish_marts(home), ["warned"], 1.26)
    monkeypatch.setattr(refresh, "refresh", lambda *_, **__: report)
    monkeypatch.setattr(upkeep, "refresh_into", lambda *_, **__: report)
    for options in ([], ["--into", tmp_path / "june"]):
        ended = run("refresh", "--json", *options)
        assert list(ended.document) == names_of(RefreshReport)
        assert ended.document["publication"]["rows"]["executions"] == 3
        assert ended.err == "warning: warned\n"


def test_an_embedding_run_is_told(run, monkeypatch):
    monkeypatch.setattr(embeddings, "embed", lambda *_, **__: EmbeddingReport(1, 2, 3, 4))
    assert run("embed", "--json").document == {
        "embedded": 1,
        "dropped": 2,
        "remaining": 3,
        "indexed": 4,
    }


def test_an_error_is_one_line_as_ever_and_no_document(run, home):
    home.create()
    ended = run("restore", "--yes", "--json")
    assert (ended.code, failed(ended)) == (
        2,
        f"there is no backup in {home.backups}; name the file to restore",
    )
