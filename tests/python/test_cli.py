"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.cells import cell_len

import publishing
from commands import COMMANDS, ROOT, Ended, failed
from orb_learning import refresh, serving, upkeep
from orb_learning.cli import _app, _show
from orb_learning.cli._program import this_program
from orb_learning.cli._show import Column, fitting
from orb_learning.errors import HomeError, RefreshError
from orb_learning.events import InvalidEvent
from orb_learning.home import HOME_VARIABLE, LOCK_TIMEOUT_VARIABLE, Home
from orb_learning.publication import Publication, current
from orb_learning.refresh import RefreshReport, ScheduleState, _scheduler
from orb_learning.refresh._project import PROJECT_VARIABLE
from orb_learning.refresh._state import write_state
from orb_learning.serving import HEADINGS, MARTS
from orb_learning.staging import known_migrations
from orb_learning.upkeep import PruneReport, _status
from publishing import PATTERNS, POOLS, TIERS, TREND, publish_marts
from test_importer import ROW, ROWS, write_json

PROGRAM = [sys.executable, "-m", "orb_learning"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.delenv(LOCK_TIMEOUT_VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


# Help


MIGRATIONS = [f"{known.version:04} {known.name}" for known in known_migrations()]


def test_there_is_a_command_for_everything():
    assert sorted(" ".join(path) for path in COMMANDS) == [
        "backup",
        "dbt",
        "demo",
        "embed",
        "erase",
        "import",
        "imports list",
        "imports undo",
        "load",
        "migrate downgrade",
        "migrate reset",
        "migrate status",
        "migrate upgrade",
        "migrate validate",
        "prune",
        "quarantine discard",
        "quarantine list",
        "quarantine replay",
        "quarantine show",
        "query",
        "recommend",
        "refresh",
        "report",
        "restore",
        "schedule",
        "similar",
        "status",
    ]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_commands_help_ends_in_an_example_that_can_be_run(path):
    example = COMMANDS[path].help.strip().splitlines()[-1]
    assert example.startswith("`orb-learning ")
    assert example.endswith("`")
    program, *words = shlex.split(example.strip("`"))
    assert program == "orb-learning"
    assert tuple(words[: len(path)]) == path
    # Parsing fails on an unknown option, on a value of the wrong kind, and on one that is missing.
    COMMANDS[path].make_context(path[-1], words[len(path) :])


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_every_option_and_argument_says_what_it_is_for(path):
    command = COMMANDS[path] if path else ROOT
    assert len(command.help.strip()) > 20
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.help[0].isupper(), parameter.name
        assert parameter.help.endswith("."), parameter.name


@pytest.mark.parametrize("path", [(), ("migrate",), ("quarantine",), *COMMANDS], ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_printed(run, home, path, option):
    ended = run(*path, option)
    assert (ended.code, ended.err) == (0, "")
    assert "Usage: orb-learning" in ended.out
    assert not home.root.exists()


@pytest.mark.parametrize("path", [(), ("migrate",)], ids=" ".join)
def test_without_a_command_the_help_is_printed(run, path):
    ended = run(*path, at="" if not path else None)
    assert "Usage: orb-learning" in ended.out + ended.err


def test_the_help_says_what_the_exit_codes_mean(run):
    assert "Exit codes: 0 done; 1 it may work later" in run("--help").out


def test_the_release_is_shown(run, home):
    assert run("--version") == Ended(0, "orb-learning 0.1.0\n", "")
    assert not home.root.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["load", "--frobnicate"],
        ["import"],
        ["report", "--format", "xml"],
        ["report", "--mart", "executions"],
        ["report", "--limit", "0"],
        ["migrate", "downgrade"],
        ["migrate", "downgrade", "--to", "-1"],
        ["demo", "--tasks", "0"],
        ["schedule", "--interval", "0.5"],
        ["schedule", "--interval", "241"],
        ["schedule", "--tests-every", "-1"],
        ["schedule", "--grace", "-1"],
        ["--log-format", "xml", "load"],
    ],
)
def test_a_command_that_is_wrong_ends_with_2(run, home, arguments):
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert not home.root.exists()


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != ("dbt",)], ids=" ".join)
def test_the_options_of_every_command_may_stand_behind_its_name(path):
    own = {parameter.name: parameter for parameter in COMMANDS[path].params}
    assert {"home", "verbose", "log_format"} <= own.keys()
    assert own["home"].envvar is None, "the home that was named wins over the environment"


@pytest.mark.parametrize(
    "words", ["status --home {}", "migrate status --home {}", "migrate --home={} status"]
)
def test_a_home_that_is_named_behind_the_command_is_taken(run, tmp_path, words, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "other"))
    there = tmp_path / "there"
    for at in ("", tmp_path / "before"):
        ended = run(*words.format(there).split(), at=at)
        assert (ended.code, ended.err) == (0, f"note: {there} {IS_NEW}\n")


def test_a_log_that_is_asked_for_behind_the_command_is_written(run, tmp_path):
    run("import", write_json(tmp_path / "runs.jsonl", [ROW]))
    entry = json.loads(run("load", "--log-format", "json", "-v").err)
    assert entry["message"].startswith("load 1: ")


IS_NEW = "is a new home: there is no such directory yet"
READING = [
    "status",
    "quarantine list",
    "migrate status",
    "migrate validate",
    "migrate upgrade --plan",
    "migrate downgrade --to 0 --plan",
    "migrate reset --plan",
]


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_says_that_a_home_is_new_and_makes_none(run, home, command):
    ended = run(*command.split())
    assert (ended.code, ended.err) == (0, f"note: {home.root} {IS_NEW}\n")
    assert not home.root.exists()
    home.create()
    assert run(*command.split()).err == ""


@pytest.mark.parametrize(
    "command", ["status", "report", "recommend fix", "quarantine list", "load"]
)
def test_every_command_refuses_a_home_of_another_user(run, home, command, monkeypatch):
    publish_marts(home)
    owner = home.root.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    ended = run(*command.split())
    assert f"belongs to another user (uid {owner})" in failed(ended)
    assert ended.out == ""

    with pytest.raises(HomeError, match="belongs to another user"):
        current(home)


def test_what_is_looked_for_in_a_new_home_is_not_found_and_the_home_not_made(run, home):
    shown = run("quarantine", "show", "00000000-0000-4000-8000-000000000000")
    assert shown.code == 2
    assert shown.err.startswith(f"note: {home.root} {IS_NEW}\nerror: ")
    assert run("report").code == 2
    assert not home.root.exists()


DESTROYING = [
    ("erase --task T-1 --user ann", "Forget task T-1, user ann for good?"),
    ("prune", "Remove what is older than its retention?"),
    ("migrate reset", "Empty {}/staging.duckdb?"),
    ("migrate downgrade --to 1", "Take back what staging holds above version 1?"),
    ("restore", "Replace {}/staging.duckdb?"),
]


@pytest.mark.parametrize(("command", "question"), DESTROYING)
def test_a_command_that_removes_asks_first(run, home, tmp_path, monkeypatch, command, question):
    run("import", write_json(tmp_path / "runs.jsonl", [ROW]))
    run("backup")
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    question = question.format(home.root)

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    refused = run(*command.split())
    assert refused.code == 1
    assert f"{question} [y/N]: " in refused.err
    assert question not in refused.out
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    unanswered = run(*command.split())
    assert unanswered.code == 2
    assert unanswered.err.endswith("nothing was done, for nobody answered; add --yes to do it\n")
    assert before == {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run(*command.split()).code == 0


def test_what_is_asked_about_commands_no_terminal(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    ended = run("erase", "--user", "\x1b[2Jann")
    assert "\\x1b[2Jann for good?" in ended.err
    assert "\x1b" not in ended.out + ended.err


# Commands on a real home


def test_importing_and_loading_and_the_state_between(run, home, tmp_path):
    file = write_json(tmp_path / "runs.jsonl.gz", [*ROWS, {**ROW, "success": "perhaps [or not]"}])

    ended = run("import", file)
    assert (ended.code, ended.out) == (2, "3 rows: 2 recorded, 1 rejected\n")
    assert ended.err.startswith(
        "rejected: runs.jsonl.gz row 3: status word 'perhaps [or not]' unknown; known are success, "
    )
    assert "pending events      3 " in run("status").out

    assert run("load") == Ended(0, "load 1: 3 lines, 2 loaded, 0 duplicates, 1 quarantined\n", "")
    assert run("load") == Ended(0, "load 1: 0 lines, 0 loaded, 0 duplicates, 0 quarantined\n", "")

    lines = dict(line.split("  ", 1) for line in run("status").out.splitlines())
    values = {name.strip(): value.strip() for name, value in lines.items()}
    assert values["home"] == str(home.root)
    assert values["pending events"] == "0"
    assert values["last load"].startswith("1, 20")
    assert values["last load"].endswith(" UTC")
    assert values["events loaded"] == "2"
    assert values["in quarantine"] == "1"
    assert values["last publication"] == "never"
    assert values["size of spool"].endswith(" kB")
    assert values["size of staging"].endswith(" MB")
    assert values["size of warehouse"] == "0 bytes"


def test_embedding_before_the_first_publication_says_what_to_run(run):
    ended = run("embed")
    assert ended.code == 2
    assert ended.err.startswith("error: nothing is published in")


def test_fields_may_be_mapped_and_times_taken_as_utc(run, home, tmp_path):
    row = {**ROW, "timestamp": "2026-03-01 12:00:00", "metadata": {"agent": "a", "model": "m"}}
    file = write_json(tmp_path / "runs.jsonl", [row])
    ended = run(
        "import",
        file,
        "--map",
        "model_tier={metadata.agent}|{metadata.model}",
        "--map",
        "repo=metadata.agent",
        "--assume-utc",
    )
    assert (ended.code, ended.out) == (0, "1 rows: 1 recorded, 0 rejected\n")
    run("load")
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        found = connection.execute("select model_tier, repo from raw.execution_recorded").fetchall()
    assert found == [("a|m", "a")]


def test_an_import_of_which_nothing_was_accepted_ends_with_2(run, tmp_path):
    rows = [{**ROW, "success": word} for word in ("perhaps", "perhaps ")]
    ended = run("import", write_json(tmp_path / "runs.jsonl", rows))
    assert (ended.code, ended.out) == (2, "2 rows: 0 recorded, 2 rejected\n")
    assert ended.err.startswith("rejected: ")
    assert "status word 'perhaps" in ended.err


def test_an_import_of_no_rows_is_done(run, tmp_path):
    (tmp_path / "runs.jsonl").touch()
    assert run("import", tmp_path / "runs.jsonl").code == 0


def test_the_home_may_come_from_the_environment(run, home, monkeypatch, tmp_path):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "there"))
    assert f"{tmp_path / 'there'}\n" in run("status", at="").out.replace(" ", "")
    assert str(home.root) in run("status").out, "the option wins"
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "data") in run("status", at="").out


def test_a_long_home_is_shown_whole(run, tmp_path):
    deep = tmp_path / ("long" * 40)
    shown = run("status", at=deep).out.replace("\n", "").replace(" ", "")
    assert str(deep) in shown


def migration_lines(pattern: str, names: list[str] | None = None) -> str:
    return "".join(pattern.format(name) + "\n" for name in names or MIGRATIONS)


def test_migrations_go_up_and_down(run, home):
    last, before = len(MIGRATIONS), len(MIGRATIONS) - 1
    assert run("migrate", "status").out == migration_lines("{}: pending")
    assert run("migrate", "upgrade", "--to", 0).out == "nothing to do\n"
    assert run("migrate", "upgrade", "--plan").out == migration_lines("would apply {}")
    assert run("migrate", "upgrade") == Ended(0, migration_lines("applied {}"), "")
    assert run("migrate", "upgrade").out == "nothing to do\n"
    assert run("migrate", "status").out == migration_lines("{}: applied")
    assert run("migrate", "downgrade", "--to", last).out == "nothing to do\n"
    planned = run("migrate", "downgrade", "--to", before, "--plan").out
    assert planned == f"would take back {MIGRATIONS[-1]}\n"
    backup, *done = run("migrate", "downgrade", "--to", before, "--yes").out.splitlines()
    assert backup.startswith(f"backup {home.backups}/staging-")
    assert done == [f"took back {MIGRATIONS[-1]}"]
    shown = run("migrate", "status").out
    assert shown == migration_lines("{}: applied", MIGRATIONS[:-1]) + (
        f"{MIGRATIONS[-1]}: pending\n"
    )
    assert run("migrate", "upgrade", "--to", last + 7).code == 2


def test_a_reset_asks_first(run, home, monkeypatch):
    run("load")
    planned = run("migrate", "reset", "--plan").out.splitlines()
    assert planned[0] == f"would take back {MIGRATIONS[-1]}"
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("migrate", "reset").code == 1
    done = run("migrate", "reset", "--yes").out.splitlines()
    assert done[-1] == f"applied {MIGRATIONS[-1]}"


def test_a_backup_is_made_and_restored(run, home, tmp_path, monkeypatch):
    file = write_json(tmp_path / "runs.jsonl", [ROW])
    run("import", file)
    made = run("backup", "--to", tmp_path / "safe")
    (path,) = (tmp_path / "safe").iterdir()
    assert made == Ended(0, f"{path}: load 1, 1 events\n", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("restore", path).code == 1
    assert run("restore", path, "--yes").out == (
        "restored load 1, 1 events; run `orb-learning refresh`\n"
    )
    message = failed(run("restore", tmp_path / "nowhere", "--yes"))
    assert message == f"{tmp_path / 'nowhere'} is no file; name the backup to restore"
    odd = tmp_path / "[bold]" / "[/x]"
    assert run("backup", "--to", odd).out.startswith(f"{odd}/staging-")


def test_a_bad_line_commands_no_terminal(run, home, tmp_path):
    home.create()
    (home.spool / "a.jsonl").write_bytes(b"\x1b]0;owned\x07\x9b31m bad\n")
    refused = InvalidEvent(claimed_type="feedback", reason="\x1b[2J [bold]no", payload="{}")
    (home.spool / "b.jsonl").write_bytes(refused.to_line() + b"\n")
    run("load")
    listed = run("quarantine", "list").out
    assert "\\x1b[2J [bold]no" in listed
    ids = [line.split()[0] for line in listed.splitlines()[1:]]
    said = [listed, *(run("quarantine", "show", found).out for found in ids)]
    assert not {sign for text in said for sign in text if not (sign.isprintable() or sign == "\n")}
    assert any("\\x1b]0;owned" in text for text in said)
    (home.spool / "c.jsonl").write_bytes(b'{"event_type":"pool_created","\\u001b[2J":1}\n')
    run("load")
    file = write_json(tmp_path / "rows\x1b[2J.jsonl", [{**ROW, "success": "perhaps"}])
    for ended in (run("quarantine", "replay"), run("import", file)):
        assert "\\x1b[2J" in ended.err
        assert "\x1b" not in ended.err


def test_quarantine_is_listed_shown_and_replayed(run, home, tmp_path):
    home.create()
    (home.spool / "a.jsonl").write_bytes(b"bad line\n")
    run("load")
    reason, listed = run("quarantine", "list").out.splitlines()
    assert reason.startswith("1 line: Invalid JSON")
    quarantine_id = listed.split()[0]
    assert listed == f"  {quarantine_id}  load 1  -"
    shown = run("quarantine", "show", quarantine_id).out.splitlines()
    assert shown[0] == f"{quarantine_id}, load 1, a.jsonl from byte 0"
    assert shown[2] == "bad line"
    replayed = run("quarantine", "replay")
    assert replayed.out == "0 loaded, 0 duplicates, 1 still invalid\n"
    assert replayed.err.startswith(f"still invalid: {quarantine_id}: Invalid JSON")
    unknown = "00000000-0000-4000-8000-000000000000"
    for command in ("show", "replay"):
        message = failed(run("quarantine", command, unknown))
        assert message == f"{unknown} is not in quarantine; see `orb-learning quarantine list`"


def test_quarantine_is_listed_by_reason_and_fits_a_terminal(run, home):
    home.create()
    (home.spool / "a.jsonl").write_bytes(b"bad line\n" * 7 + b'{"event_type": "odd"}\n')
    run("load")
    lines = run("quarantine", "list").out.splitlines()
    counts = [found[0] for line in lines if (found := re.match(r"\d+ lines?(?=: )", line))]
    assert sorted(counts) == ["1 line", "7 lines"]
    assert "  and 2 more; --json has them all" in lines
    ids = [line.split()[0] for line in lines if line.startswith("  ") and "load 1" in line]
    assert len(set(ids)) == 6
    assert all(len(one) == 36 for one in ids)
    assert max(map(len, lines)) <= 80


def test_pruning_takes_its_days_from_the_project_or_the_command(run, home, tmp_path):
    run("import", write_json(tmp_path / "runs.jsonl", [ROW]))
    assert run("prune", "--raw-days", 100_000, "--derived-days", 100_000, "--yes").out.startswith(
        "removed 0 raw events, 0 loaded segments, 0 publications; "
    )
    pruned = run("prune", "--yes").out
    assert pruned.startswith("removed 1 raw events, ")
    assert re.search(r" freed; kept are executions from \d{4}-\d\d-\d\d\n$", pruned)
    assert run("prune", "--yes").out.endswith(" freed\n")
    assert run("prune", "--derived-days", 91, "--yes").code == 2


@pytest.fixture
def pruned(run, tmp_path):
    """A home whose loads are of today and whose executions are hidden until 2200."""
    run("import", write_json(tmp_path / "runs.jsonl", [ROW]))
    run("load")
    run("prune", "--today", "2200-06-15", "--raw-days", 100_000, "--derived-days", 90, "--yes")


@pytest.mark.parametrize(
    ("options", "raw", "derived", "segments"),
    [
        ((), 365, 30, 7),
        (("--raw-days", 200), 200, 30, 7),
        (("--derived-days", 0), 365, 0, 7),
        (("--raw-days", 0, "--derived-days", 0), 0, 0, 7),
        (("--raw-days", 40, "--derived-days", 20, "--segment-days", 3), 40, 20, 3),
    ],
)
def test_pruning_keeps_what_the_project_says_unless_the_command_says_it(
    run, tmp_path, monkeypatch, options, raw, derived, segments
):
    (tmp_path / "dbt_project.yml").write_text(
        "name: orb_learning\nvars:\n  raw_retention_days: 365\n  derived_retention_days: 30\n"
    )
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    asked = {}

    def prune(_: Home, **days: object) -> PruneReport:
        asked.update(days)
        return PruneReport()

    monkeypatch.setattr(upkeep, "prune", prune)
    assert run("prune", *options, "--yes").code == 0
    assert (asked["raw_days"], asked["derived_days"], asked["segment_days"]) == (
        raw,
        derived,
        segments,
    )


def test_pruning_by_a_doubtful_clock_is_refused_and_a_named_day_asked_for(
    run, home, tmp_path, monkeypatch
):
    run("import", write_json(tmp_path / "runs.jsonl", [ROW]))
    run("load")
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update ledger.loads set loaded_at = '2200-01-01'")
    refused = run("prune", "--yes")
    assert refused.code == 2
    message = failed(refused)
    assert "but the newest load is of 2200-01-01 and the newest event of " in message
    (command,) = re.findall("`orb-learning (.*)`", message)
    for answer, code in (("n", 1), ("y", 0)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))
        asked = run(*command.removesuffix(" --yes").split(), "--raw-days", 100_000)
        assert asked.code == code
        day = command.split()[2]
        assert asked.err.startswith(f"Remove what is older than its retention on {day}?")
    assert run(*command.split()).out.startswith("removed 1 raw events, ")
    assert run("prune", "--today", "soon", "--yes").code == 2


def test_a_status_names_the_floor_and_counts_what_it_hides(run, pruned):
    assert "hidden events" in run("status").out
    assert "1 from before 2200-03-17" in run("status").out


def test_the_floor_is_lowered_and_nothing_else_is_done(run, home, pruned):
    assert run("prune", "--floor", "2026-03-01").out == (
        "executions are kept from 2026-03-01 on; the next whole refresh builds everything anew, "
        "and a prune may raise that day again\n"
    )
    assert "hidden events       0 from before 2026-03-01" in run("status").out
    assert failed(run("prune", "--floor", "2026-03-02")) == (
        "executions are kept from 2026-03-01 on: a floor is only lowered"
    )
    for option in ("--raw-days", "--derived-days"):
        assert run("prune", "--floor", "2026-02-01", option, 9).code == 2
    assert run("prune", "--floor", "2026-02-01", "--today", "2026-03-01", "--yes").code == 2
    assert "before 2026-03-01" in run("status").out


def test_a_dry_run_shows_what_would_be_recorded_and_writes_nothing(run, home, tmp_path):
    rows = [
        {**ROW, "task_id": f"t{number}", "Notes": "n", "team": {"lead": "ann"}}
        for number in range(5)
    ]
    rows[0]["error_message"] = "token=ghp_0123456789abcdefghijklmnopqrstuvwxyzAB \x1b[2J"
    rows[4]["success"] = "perhaps"
    file = write_json(tmp_path / "a.jsonl", rows)
    shown = run("import", "--dry-run", file, "--map", "solution_summary=team.lead")
    assert shown.code == 2
    assert shown.out.count("recorded row ") == 3
    assert "ghp_" not in shown.out
    assert "\x1b" not in shown.out
    assert "task_ref" in shown.out
    assert "in the metadata only: Notes\n5 rows: 4 recorded, 1 rejected; nothing was" in shown.out
    assert "a.jsonl row 5: status word 'perhaps' unknown" in shown.err
    assert not home.root.exists()


def test_all_that_is_missing_is_told_at_once(run, tmp_path):
    row = {"Start": "2026-03-01T12:00:00Z", "Project": "acme/api", "Result": "ok", "x": 1}
    told = failed(run("import", write_json(tmp_path / "a.jsonl", [row])))
    assert "no row has timestamp, task_type, repo, model_tier, success; say where to" in told
    assert (
        "--map timestamp=Start --map task_type=PATH --map repo=Project --map model_tier=PATH "
        "--map success=Result, or what it is, --map \"success='…'\"; the rows have Start, Project"
    ) in told


def test_an_import_says_what_is_older_than_the_retention(run, home, tmp_path):
    today = datetime.now(UTC).date()
    days = {"kept": 3, "old": 91, "older": 92}
    rows = [
        {**ROW, "task_id": name, "timestamp": f"{today - timedelta(days=ago)}T12:00:00Z"}
        for name, ago in days.items()
    ]
    new = home.root.parent / "new"
    shown = run("import", write_json(tmp_path / "a.jsonl", rows), at=new)
    assert shown.code == 0
    assert "note: 2 of them began more than 90 days ago; the next `orb-learning prune`" in shown.err
    run("load", at=new)
    run("prune", "--yes", at=new)
    again = run("import", tmp_path / "a.jsonl", at=new)
    floor = today - timedelta(days=90)
    assert again.err.partition("\n")[2] == (
        f"note: 2 of them began before {floor}, from where executions are kept, and will not be "
        f"shown; `orb-learning prune --floor {today - timedelta(days=92)}` shows them again\n"
    )
    recent = [{**ROW, "timestamp": f"{floor}T00:00:00Z"}]
    last = run("import", write_json(tmp_path / "b.jsonl", recent), at=new)
    assert re.fullmatch("note: `.* imports undo .*` takes this back\n", last.err)


def test_quarantine_is_discarded_by_one_command(run, tmp_path):
    rows = [ROW, {**ROW, "success": "perhaps"}]
    imported = run("import", write_json(tmp_path / "a.jsonl", rows))
    (import_id,) = re.findall(r"imports undo (a-[0-9]{8}-[0-9a-f]{6})", imported.err)
    run("load")
    assert run("quarantine", "discard").code == 2
    none = run("quarantine", "discard", "--reason", "nothing like it", "--yes")
    assert (none.code, none.out) == (0, "nothing in quarantine is like that\n")
    assert run("quarantine", "discard", "--import", import_id, "--yes").out == "1 discarded\n"
    assert "in quarantine       0" in run("status").out


def test_an_import_is_listed_and_undone(run, tmp_path):
    rows = [ROW, {**ROW, "success": "perhaps"}]
    imported = run("import", write_json(tmp_path / "runs.jsonl", rows))
    (import_id,) = re.findall(r"imports undo (runs-[0-9]{8}-[0-9a-f]{6})", imported.err)
    listed = run("imports", "list").out.splitlines()
    assert len(listed) == 2
    assert listed[1].split()[0] == import_id
    assert listed[1].split()[3:5] == ["1", "1"]
    assert (
        f"--home {tmp_path}" in run("--home", tmp_path / "h", "import", tmp_path / "runs.jsonl").err
    )
    undone = run("imports", "undo", import_id, "--yes")
    assert (undone.code, undone.out) == (
        0,
        "1 rows and 1 refused ones are gone; the next `orb-learning refresh` shows it\n",
    )
    assert len(run("imports", "list").out.splitlines()) == 1
    assert failed(run("imports", "undo", import_id, "--yes")) == (
        f"there is no import '{import_id}', or all its rows were known before; "
        "see `orb-learning imports list`"
    )


def test_an_erasure_is_asked_for(run, home):
    assert run("erase", "--task", "T-1", "--user", "ann", "--yes") == Ended(
        0,
        "nothing of them was found; what arrives later goes at once\n"
        "2 to be erased by the next refresh\n",
        f"note: {home.root} {IS_NEW}\n",
    )
    # A host's own reference and a user's pseudonym have a tombstone of their own.
    assert run("load").out.startswith("load 1: 4 lines, 4 loaded")
    assert failed(run("erase")) == "nothing to erase: name a task or a user"


def test_an_erasure_shows_what_it_found(run, tmp_path):
    rows = [
        {**ROW, "task_id": "T-1", "metadata": {"user_id": "ann"}},
        {**ROW, "task_id": "T-1", "success": False, "metadata": {"user_id": "bob"}},
        {**ROW, "task_id": "T-2", "metadata": {"user_id": "ann"}},
    ]
    run("import", write_json(tmp_path / "runs.jsonl", rows))
    assert run("erase", "--user", "ann", "--yes").out == (
        "found 2 tasks (1 of them another user's too), 0 feedback on other tasks, "
        "0 lines in quarantine; 3 events in all\n"
        "1 to be erased by the next refresh\n"
    )


def test_an_edited_migration_is_found_by_validating(run, home):
    run("migrate", "upgrade")
    assert run("migrate", "validate") == Ended(0, "valid\n", "")
    with duckdb.connect(str(home.staging)) as connection:
        connection.execute("update ledger.migrations set checksum = 'another'")
    ended = run("migrate", "validate")
    assert ended.code == 2
    assert failed(ended).startswith("migration 0001 (raw_events) was edited after it was applied; ")
    assert run("migrate", "status").out == migration_lines("{}: changed")


def test_the_log_is_for_people_or_for_programs(run, tmp_path):
    file = write_json(tmp_path / "runs.jsonl", [ROW])
    run("import", file)
    assert run("--verbose", "load").err == (
        "INFO load 1: 1 lines, 1 loaded, 0 duplicates, 0 quarantined\n"
    )
    run("import", write_json(tmp_path / "more.jsonl", ROWS))
    entry = json.loads(run("-v", "--log-format", "json", "load").err)
    assert entry["message"] == "load 2: 2 lines, 1 loaded, 1 duplicates, 0 quarantined"


# Errors


def test_what_must_change_first_ends_with_2(run, home, tmp_path):
    ended = run("report")
    assert ended.code == 2
    assert failed(ended) == (
        f"nothing is published in {home.root} yet, a new home: there is no such directory; "
        "run `orb-learning refresh` or `dbt build`"
    )

    ended = run("import", tmp_path / "[a]" / "runs.jsonl")
    assert ended.code == 2
    assert failed(ended) == f"no file is named like {tmp_path}/[a]/runs.jsonl"

    ended = run("import", tmp_path / "runs.jsonl", "--map", "tier=x")
    assert ended.code == 2
    assert failed(ended).startswith("--map: there is no field 'tier'; fields are ")

    home.staging.write_text("not a database, for longer than a header is" * 99)
    for command in (["load"], ["status"], ["migrate", "status"]):
        ended = run(*command)
        assert ended.code == 2
        assert "is not a DuckDB database; run `orb-learning restore`" in failed(ended)


def test_an_error_of_the_system_is_one_line_too(run, home):
    home.root.mkdir()
    home.spool.write_text("")
    ended = run("status")
    assert ended.code == 2
    assert failed(ended) == f"[Errno 20] Not a directory: '{home.spool}'"


def test_what_may_work_later_ends_with_1(run, home, children, monkeypatch):
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, "0")
    told, tell = os.pipe()
    stay, leave = os.pipe()

    def hold() -> None:
        with home.locked(0):
            os.write(tell, b"!")
            os.read(stay, 1)

    holder = children.start(hold)
    assert os.read(told, 1) == b"!"
    ended = run("load")
    os.write(leave, b"!")
    children.join(holder)
    for fd in (told, tell, stay, leave):
        os.close(fd)

    assert (ended.code, ended.out) == (1, "")
    first, last = ended.err.splitlines()
    assert first.startswith(f"WARNING process {holder} holds ")
    assert last.startswith(f"error: process {holder} still holds {home.lock_file} after 0 s; ")


def test_while_staging_is_busy_the_state_says_so(run, home, monkeypatch):
    run("load")
    with duckdb.connect(str(home.staging)):
        ended = run("status")
    assert ended.code == 0
    assert ended.out.count("staging is busy: a load is at work") == 4


def test_an_error_ends_the_program_and_not_only_its_function(home):
    command = [*PROGRAM, "--home", str(home.root), "report"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed(Ended(ended.returncode, ended.stdout, ended.stderr))
    assert ended.returncode == 2


def test_a_reader_that_stops_reading_is_no_error(home):
    publish_marts(home)
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "--home", str(home.root), "report", "--format", "csv"]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_pipe_that_breaks_within_a_command_is_no_error(run, monkeypatch, capsys):
    def break_pipe() -> None:
        raise BrokenPipeError

    closed = []
    monkeypatch.setattr(_app, "app", break_pipe)
    monkeypatch.setattr(sys.stderr, "close", lambda: closed.append(True))
    assert run("load") == Ended(1, "", "")
    assert closed == [True]


# The report


def test_a_report_in_csv_has_every_row_of_every_mart(run, home):
    publish_marts(home)
    ended = run("report", "--format", "csv")
    assert (ended.code, ended.err) == (0, "")
    rows = list(csv.reader(io.StringIO(ended.out)))
    assert [row for row in rows if row[0] == "mart"] == [
        ["mart", *mart.columns] for mart in MARTS.values()
    ]
    assert len(rows) == len(MARTS) + len(TIERS) + len(POOLS) + len(TREND) + len(PATTERNS)
    assert rows[1] == [
        *("tier_performance", "acme/api", "large", "fix", "2026-03-01"),
        *("1234", "1000", "61.25", "", "", "99.5"),
        *("1234", "75582.5", "0", "", "0", "", "0.81"),
    ]
    assert rows[6] == [
        *("pool_performance", "single", "acme/api", "2026-03-01T12:00:00"),
        *("1", "1", "2.0", "", "1.0", "1", "2.0", "0", "", "0", ""),
    ]
    assert rows[9] == [
        "quality_trend",
        "acme/api",
        "2026-03-01",
        "2",
        "0",
        "2",
        "",
        "1.0",
        "",
        "0",
        "",
        "0",
        "",
        "",
    ]
    assert rows[12] == [
        *("solution_patterns", 'say "no", then\nyes', "acme/web", "docs|fix", "6", "6", ""),
        *("2026-01-02T03:04:05", "2026-02-03T00:00:00", "1.0"),
    ]


ODD = "\x1b[2J\x07\x9b31m\u202e"


def with_patterns(monkeypatch, *summaries: str) -> None:
    rows = [(summary, summary, [summary, "fix"], *PATTERNS[0][3:]) for summary in summaries]
    monkeypatch.setattr(publishing, "PATTERNS", rows)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum(a1)", "'@sum(a1)"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("\n=1", "'\n=1"),
        ("\r=1", "'\\r=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        (f"a{ODD}b", "a\\x1b[2J\\x07\\x9b31m\\u202eb"),
    ],
)
def test_a_spreadsheet_runs_nothing_of_a_report_in_csv(run, home, monkeypatch, text, cell):
    with_patterns(monkeypatch, text)
    publish_marts(home)
    arguments = ["--format", "csv", "--mart", "solution_patterns"]
    (_, row) = csv.reader(io.StringIO(run("report", *arguments).out))
    assert row[:4] == ["solution_patterns", cell, cell, cell + "|fix"]
    (_, row) = csv.reader(io.StringIO(run("report", *arguments, "--raw").out, newline=""))
    assert row[:4] == ["solution_patterns", text, text, f"{text}|fix"]


def test_raw_texts_are_for_csv(run):
    assert "--raw is for --format csv" in run("report", "--raw").err


@pytest.mark.parametrize("style", ["table", "json", "csv", "markdown"])
def test_a_report_commands_no_terminal(run, home, monkeypatch, style):
    with_patterns(monkeypatch, f"a{ODD}b")
    publish_marts(home)
    out = run("report", "--mart", "solution_patterns", "--format", style).out
    assert not {sign for sign in out if not (sign.isprintable() or sign == "\n")}
    assert "9b31m" in out


@pytest.mark.parametrize("text", ["x" * 5000, "word " * 900, "\u754c" * 3000])
@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_a_long_text_hides_no_column(run, home, monkeypatch, text, columns):
    monkeypatch.setattr(_show, "PIPE_WIDTH", int(columns))
    with_patterns(monkeypatch, text, "short")
    publish_marts(home)
    lines = run("report", "--mart", "solution_patterns").out.splitlines()
    heading, *rows = [line.split() for line in lines[3:]]
    assert (heading[0], heading[-1]) == ("solution", "success")
    assert all(row[-1] == "0.80" and "2026-02-01" in row for row in rows)
    assert len(rows) == 2
    assert max(map(cell_len, lines[3:])) <= max(int(columns), 120)


def test_a_word_between_colons_is_no_picture(run, home, monkeypatch):
    with_patterns(monkeypatch, "fix :bug: now")
    publish_marts(home)
    assert "fix :bug: now" in run("report", "--mart", "solution_patterns").out


def test_an_error_is_one_line_and_commands_no_terminal(run, home, tmp_path):
    for ended in (run("import", tmp_path / f"a\n{ODD}.jsonl"), run("status", at=f"/proc/a\n{ODD}")):
        said = ended.out + ended.err
        assert not {sign for sign in said if not (sign.isprintable() or sign == "\n")}
        assert "\\x1b[2J" in said
    assert run("import", tmp_path / f"a\n{ODD}.jsonl").err.count("\n") == 1


def test_a_report_in_json_has_the_figures_and_their_origin(run, home):
    made = publish_marts(home)
    document = json.loads(run("report", "--format", "json").out)
    assert Publication(**document["publication"]) == made
    assert document["summary"]["known_cost"] == 1.75
    assert {name: len(rows) for name, rows in document["marts"].items()} == {
        "tier_performance": 4,
        "pool_performance": 2,
        "quality_trend": 2,
        "solution_patterns": 2,
    }
    first = document["marts"]["tier_performance"][0]
    assert first["date"] == "2026-03-01"
    assert first["avg_cost"] is None
    assert document["marts"]["solution_patterns"][0]["task_types"] == ["docs", "fix"]


def test_a_report_for_people_fits_their_columns(run, home):
    publish_marts(home)
    ended = run("report", *(word for name in MARTS for word in ("--mart", name)))
    assert (ended.code, ended.err) == (0, "")
    lines = [line.rstrip() for line in ended.out.splitlines()]
    assert lines[0] == (
        "3 executions of 2 tasks, 66.7% successful, cost 1.75 USD (1 unknown), 1 pending; "
        "as of 2026-03-01"
    )
    assert lines[2:5] == [
        "tier_performance: 4 of 4 rows",
        "repo      tier   task type  date         runs     ok  mean s  mean USD  quality  p95 s"
        "  scored  success",
        "acme/api  large  fix        2026-03-01  1,234  1,000   61.25         -        -  99.50"
        "       0     0.81",
    ]
    assert "add [tests]         acme/api  fix " in ended.out, "text is no markup"
    assert 'say "no", then yes  acme/web' in ended.out, "one row is one line"


def test_a_report_of_nothing_says_so(run, home):
    publish_marts(home, empty=True)
    assert " ".join(run("report").out.split()).startswith(
        "0 executions of 0 tasks, n/a successful, cost unknown (0 unknown), 0 pending; "
    )


def test_a_report_may_be_of_some_marts_and_some_rows(run, home):
    publish_marts(home)
    arguments = ["--mart", "pool_performance", "--mart", "tier_performance", "--limit", "1"]
    rows = list(csv.reader(io.StringIO(run("report", "--format", "csv", *arguments).out)))
    assert [row[0] for row in rows] == ["mart", "pool_performance", "mart", "tier_performance"]
    assert "pool_performance: 1 of 2 rows" in run("report", *arguments).out


def test_a_report_for_people_shows_ten_rows_and_the_others_all(run, home, monkeypatch):
    limits: list[object] = []
    build = serving.build_report

    def note(*arguments: Any, **options: Any) -> Any:
        limits.append(options["limit"])
        return build(*arguments, **options)

    publish_marts(home)
    monkeypatch.setattr(serving, "build_report", note)
    for style in ("table", "json", "csv"):
        run("report", "--format", style)
    assert limits == [10, None, None]


def test_a_report_of_another_day_ends_with_2(run, home):
    publish_marts(home)
    assert run("report", "--as-of", "2026-03-01").code == 0
    ended = run("report", "--as-of", "2026-02-01")
    assert ended.code == 2
    assert failed(ended).startswith("the published marts end at 2026-03-01, not 2026-02-01; ")


def test_the_state_tells_what_is_published(run, home):
    made = publish_marts(home)
    assert (
        f"{made.published_at[:19].replace('T', ' ')} UTC, load 1, as of 2026-03-01, 3 executions"
    ) in run("status").out


def test_the_state_tells_of_a_scheduler_only_where_there_was_one(run, home):
    assert "schedule" not in run("status").out
    home.create()
    write_state(home, ScheduleState(7, 60))
    lines = dict(line.split("  ", 1) for line in run("status").out.splitlines())
    assert lines["schedule"].strip() == "not running"
    assert lines["marts fresh at"].strip() == "never, tested never"
    assert "refresh fails" not in lines


def test_the_state_tells_how_fresh_the_marts_are_and_what_fails(run, home, monkeypatch):
    home.create()
    moment = "2026-03-01T12:10:02.5+00:00"
    failing = ScheduleState(7, 2.5, moment, moment, moment, 3, moment, "disk full")
    write_state(home, failing)
    monkeypatch.setattr(_status, "is_scheduled", lambda _: True)
    lines = dict(line.split("  ", 1) for line in run("status").out.splitlines())
    shown = "2026-03-01 12:10:02 UTC"
    assert lines["schedule"].strip() == "every 2.5 s, process 7"
    assert lines["marts fresh at"].strip() == f"{shown}, tested {shown}"
    assert lines["refresh fails"].strip() == f"3 in a row, last {shown}: disk full"


def test_the_scheduler_gets_what_the_command_says(run, home, monkeypatch):
    asked = []
    monkeypatch.setattr(refresh, "schedule", lambda *given, **named: asked.append((given, named)))
    options = ["--interval", "2", "--tests-every", "5", "--grace", "9", "--no-embed"]
    assert run("schedule") == run("schedule", *options) == Ended(0, "", "")
    assert asked == [
        (
            (home.root,),
            {
                "interval_seconds": _scheduler.INTERVAL_SECONDS,
                "tests_every_minutes": _scheduler.TESTS_EVERY_MINUTES,
                "grace_seconds": _scheduler.GRACE_SECONDS,
                "embeds": True,
                "on_turn": None,
            },
        ),
        (
            (home.root,),
            {
                "interval_seconds": 2,
                "tests_every_minutes": 5,
                "grace_seconds": 9,
                "embeds": False,
                "on_turn": None,
            },
        ),
    ]


# Commands that run dbt, with dbt left out; `models/` runs them whole


@pytest.fixture
def refreshed(monkeypatch) -> list[dict[str, Any]]:
    """Publish marts made by hand where dbt would build them; return what was asked for."""
    asked: list[dict[str, Any]] = []

    def refresh_without_dbt(home: Path, **options: Any) -> RefreshReport:
        options.pop("on_progress")("executions", 1, 2)
        asked.append(options)
        publish_marts(Home(home))
        return RefreshReport(current(Home(home)), ["feedback_tasks_exist"], 1.26)

    monkeypatch.setattr(refresh, "refresh", refresh_without_dbt)
    return asked


def test_a_refresh_says_what_is_published_now(run, home, refreshed):
    ended = run("refresh", "--as-of", "2026-03-01", "--full-refresh")
    made = current(home)
    assert ended == Ended(
        0,
        f"published {made.id}: 3 executions, load 1, 1.3 s\n",
        "warning: feedback_tasks_exist\n",
    )
    assert refreshed == [{"as_of": "2026-03-01", "full_refresh": True, "publish": False}]


def test_a_refresh_says_that_a_later_day_stays_published(run, home, monkeypatch):
    made = publish_marts(home)
    asked = []

    def build_and_keep(_: Path, **options: Any) -> RefreshReport:
        asked.append(options["publish"])
        return RefreshReport(made, [], 1.26, is_published=options["publish"])

    monkeypatch.setattr(refresh, "refresh", build_and_keep)
    assert run("refresh", "--as-of", "2026-02-01") == Ended(
        0,
        "built as of 2026-02-01 in 1.3 s, not published: the publication is of 2026-03-01; "
        "--publish replaces it, --into DIR makes one beside it\n",
        "",
    )
    assert run("refresh", "--as-of", "2026-02-01", "--publish").out.startswith("published ")
    assert asked == [False, True]


def test_a_refresh_into_a_directory_says_how_to_read_it(run, home, monkeypatch, tmp_path):
    made = publish_marts(home)
    asked = []

    def make(*given: Any, on_progress: Any, **named: Any) -> RefreshReport:
        asked.append((*given, named))
        return RefreshReport(made, [], 1.26)

    monkeypatch.setattr(upkeep, "refresh_into", make)
    into = tmp_path / "of another day"
    ended = run("refresh", "--as-of", "2026-02-01", "--into", str(into))
    assert ended == Ended(
        0,
        f"published {made.id}: 3 executions, load 1, 1.3 s\n"
        f"read it with: orb-learning --home '{into}' report\n",
        "",
    )
    assert asked == [(home, into, {"as_of": "2026-02-01"})]


@pytest.mark.parametrize("text", ["", "2026-13-01", "yesterday", "0001-01-01", "2026-06-15'"])
def test_a_refresh_as_of_no_time_is_refused_before_anything_is_loaded(run, home, text):
    home.create()
    message = failed(run("refresh", "--as-of", text))
    assert message.startswith("as_of must be a date or a time between 1970 and 2200, like ")
    assert message.endswith(f"not {text!r}")
    assert not home.staging.exists()


def test_a_refresh_that_failed_may_work_later(run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RefreshError("executions ended as error: disk full")

    monkeypatch.setattr(refresh, "refresh", fail)
    ended = run("refresh")
    assert (ended.code, failed(ended)) == (1, "executions ended as error: disk full")


def test_the_demo_simulates_and_reports_in_a_home_of_its_own(run, refreshed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended = run("demo", "--tasks", "20", at="")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("simulated 20 tasks in ")
    assert lines[1] == "refreshed in 1.3 s"
    assert lines[2].startswith("3 executions of 2 tasks")
    assert max(map(cell_len, lines[: lines.index("look around:")])) <= 80
    own = tmp_path / "data" / "demo"
    assert lines[-1].endswith(f" --home {own} dbt docs serve")
    assert (own / "spool").is_dir()
    today = datetime.now(UTC).date().isoformat()
    assert refreshed == [{"as_of": today, "publish": True}]


def test_the_demo_runs_in_a_home_that_is_named(run, home, refreshed):
    assert f" --home {home.root} status\n" in run("demo", "--tasks", "5", "--seed", "1").out
    assert home.spool.is_dir()


def pending_events(home: Home) -> int:
    return upkeep.read_status(home).pending_events


def test_a_second_demo_begins_anew_and_one_that_keeps_adds(run, home, refreshed):
    run("demo", "--tasks", "5")
    first = pending_events(home)
    run("demo", "--tasks", "5")
    assert pending_events(home) == first
    run("demo", "--tasks", "5", "--keep")
    run("load")
    # Not the same events a second time, of which the home would keep one.
    assert upkeep.read_status(home).loaded_events > 1.5 * first


def test_a_demo_removes_nobodys_events(run, home, refreshed, tmp_path):
    run("import", write_json(tmp_path / "runs.jsonl", [ROW]))
    ended = run("demo", "--tasks", "5")
    assert ended.code == 2
    assert failed(ended) == (
        f"{home.root} holds 1 events that no demo wrote, so nothing was removed; name another "
        "directory with --home, or add to this one with --keep"
    )
    assert run("demo", "--tasks", "5", "--keep").code == 0
    assert failed(run("demo", "--tasks", "5")).startswith(f"{home.root} holds 1 events")


def test_a_demo_without_dbt_or_its_project_simulates_nothing(run, home, monkeypatch):
    monkeypatch.setenv(PROJECT_VARIABLE, "/nowhere")
    assert (
        failed(run("demo")) == f"{PROJECT_VARIABLE}=/nowhere holds no dbt project of orb-learning"
    )
    monkeypatch.setitem(sys.modules, "dbt.cli.main", None)
    assert failed(run("demo")).startswith("dbt is not installed (dbt.cli.main); run: pip install ")
    assert not home.root.exists()


@pytest.mark.parametrize(
    ("program", "path", "stands", "said"),
    [
        ("{0}/venv/bin/orb-learning", "/usr/bin", "{0}", "venv/bin/orb-learning"),
        ("{0}/venv/bin/orb-learning", "/usr/bin", "/", "{0}/venv/bin/orb-learning"),
        ("{0}/venv/bin/orb-learning", "{0}/venv/bin", "{0}", "orb-learning"),
        ("venv/bin/orb-learning", "{0}/venv/bin", "{0}", "orb-learning"),
        ("venv/bin/orb-learning", "{0}/other", "{0}", "venv/bin/orb-learning"),
        ("orb-learning", "/usr/bin", "{0}", "./orb-learning"),
        ("{0}/a b/orb-learning", "/usr/bin", "{0}", "'a b/orb-learning'"),
        ("{0}/orb_learning/__main__.py", "/usr/bin", "{0}", "{1} -m orb_learning"),
        ("-c", "/usr/bin", "{0}", "{1} -m orb_learning"),
    ],
)
def test_the_program_is_named_as_it_can_be_called(
    monkeypatch, tmp_path, program, path, stands, said
):
    for folder in ("venv/bin", "other", "a b", "orb_learning", "."):
        for name in ("orb-learning", "__main__.py"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [program.format(tmp_path)])
    monkeypatch.setenv("PATH", path.format(tmp_path))
    monkeypatch.setenv("PWD", stands.format(tmp_path))
    assert this_program() == said.format(tmp_path, sys.executable)


@pytest.mark.parametrize("columns", [20, 60, 80, 100, 120, 160])
def test_a_table_that_is_too_wide_names_what_it_leaves_out(columns):
    longest = {"repo": "platform-infra", "task type": "test_generation", "solution": "word " * 20}
    for mart in MARTS.values():
        headings = [HEADINGS[name] for name in mart.columns if name in HEADINGS]
        cells = [
            Column(side, heading, [longest.get(heading, "name") if side == "left" else 12.5])
            for side, heading in headings
        ]
        shape = fitting(cells, columns)
        shown = [column.heading.replace("\n", " ") for column in shape.columns]
        assert sorted([*shown, *shape.left_out]) == sorted(heading for _, heading in headings)
        assert shape.taken(shape.limit) <= max(columns, 80)
        assert not (columns == 160 and shape.left_out)
