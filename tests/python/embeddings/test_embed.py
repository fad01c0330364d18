"""Embedding runs, and what the next publication holds of them."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest
from hypothesis import given

from orb_learning import ExecutionRecord
from orb_learning.embeddings import (
    INDEX,
    SimilarityCompanion,
    _index,
    _publish,
    _run,
    _store,
    embed,
)
from orb_learning.embeddings._store import CONTENT, EmbeddingStore, StoreState
from orb_learning.errors import (
    BusyError,
    EmbeddingError,
    HomeError,
    NotPublishedError,
    PermanentError,
)
from orb_learning.home import Home
from orb_learning.publication import CannotUpdateError, current
from words import WordModel

TEXTS = ["split the parser", "fix the login", "write the docs", "split the parser"]
WITH_EMBEDDINGS = "select count(*), count(embedding) from executions_with_embeddings"


def index_of(home):
    return home.published / current(home).id / INDEX


def test_each_distinct_content_is_embedded_once_the_newest_first(press, model):
    press.publish(TEXTS)
    progress: list[int] = []
    shares: list[tuple[int, int]] = []
    report = embed(
        press.home,
        model=model,
        on_progress=progress.append,
        on_share=lambda *share: shares.append(share),
    )
    assert (report.embedded, report.remaining, report.dropped, report.indexed) == (3, 0, 0, 3)
    assert progress == [3]
    assert shares == [(3, 3)]
    assert [text.split(" | ")[1] for text in model.texts] == [
        "task: split the parser",
        "task: fix the login",
        "task: write the docs",
    ]
    again = embed(press.home, model=model)
    assert (again.embedded, again.remaining, again.indexed) == (0, 0, 3)
    assert len(model.texts) == 3


def test_the_text_is_the_records_own_and_its_md5_the_content_hash(values_of):
    @given(values_of(ExecutionRecord))
    def check(values):
        record = ExecutionRecord(**values)
        row = record.to_dict()
        names = ", ".join(f"${name} as {name}" for name in _TEXT)
        with duckdb.connect() as connection:
            ((text,),) = connection.execute(
                f"select {CONTENT} from (select {names})", {name: row[name] for name in _TEXT}
            ).fetchall()
        assert text == record.calculate_embedding_content()

    check()


_TEXT = (
    "task_type",
    "task_description",
    "repo",
    "model_tier",
    "pool_type",
    "swarm_topology",
    "success",
    "solution_summary",
)


def test_a_run_stops_at_its_limit_and_the_next_goes_on(press, model):
    press.publish(TEXTS)
    first = embed(press.home, model=model, embedding_batch_limit=2)
    assert (first.embedded, first.remaining) == (2, 1)
    assert (second := embed(press.home, model=model)).embedded == 1
    assert second.indexed == 3
    nothing = embed(press.home, model=model, embedding_batch_limit=0)
    assert (nothing.embedded, nothing.remaining) == (0, 0)
    for limit in (-1, 2**70, 1.5, float("nan"), "5", None):
        with pytest.raises(PermanentError, match="embedding_batch_limit"):
            embed(press.home, model=model, embedding_batch_limit=limit)


def test_a_limit_takes_the_texts_that_were_used_last_and_of_equals_the_first_by_hash(press, model):
    """A text counts with its newest use, and the texts are embedded in that order."""
    old, new = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2))
    press.publish(["again", "once", "old", "again"], each={"timestamp": [old, new, old, new]})
    by_hash = press.read(
        "select task_description from executions where timestamp = '2026-02-01'"
        " order by content_hash"
    )
    report = embed(press.home, model=model, embedding_batch_limit=1)
    assert (report.embedded, report.remaining) == (1, 2)
    embed(press.home, model=model, embedding_batch_limit=2)
    described = [text.split(" | ")[1].removeprefix("task: ") for text in model.texts]
    assert described == [text for (text,) in by_hash] + ["old"]


@pytest.mark.parametrize(
    ("repos", "common"),
    [(["b", "b", "a"], "b"), (["b", "a", "a"], "a"), (["b", "a", "b", "a", "0"], "a")],
)
def test_the_commonest_repository_is_that_of_most_executions_then_the_first_by_name(
    press, model, repos, common
):
    texts = [f"text {number}" for number in range(len(repos))]
    press.publish(texts, each={"repo": repos})
    embed(press.home, model=model)
    press.publish(texts, each={"repo": repos})
    assert current(press.home).similarity["common_repo"] == common


def test_without_anything_to_embed_no_model_is_loaded(press, model, monkeypatch, tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    press.publish([])

    def load(source):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(_run, "load_model", load)
    assert embed(press.home, model=str(tmp_path)).indexed == 0
    press.publish(TEXTS)
    with pytest.raises(AssertionError, match="was loaded"):
        embed(press.home, model=str(tmp_path))


def test_before_the_first_publication_there_is_nothing_to_embed(home, model):
    with pytest.raises(NotPublishedError, match="nothing is published"):
        embed(home.root, model=model)


def test_vectors_and_index_are_published_together_by_the_next_publication(press, model):
    press.publish(TEXTS)
    assert press.read("select count(*) from execution_embeddings") == [(0,)]
    assert press.read(WITH_EMBEDDINGS) == [(4, 0)]
    embed(press.home, model=model)
    press.publish(TEXTS)
    assert press.read(WITH_EMBEDDINGS) == [(4, 4)]
    assert press.read(
        "select executions, len(newest_rows) from embedded_contents order by all"
    ) == [(1, 1), (1, 1), (2, 2)]
    publication = current(press.home)
    assert publication.rows["execution_embeddings"] == 3
    assert publication.similarity == {
        "model": "words",
        "is_indexed": True,
        "common_repo": "acme/api",
        "version": SimilarityCompanion(press.home).version(),
        "left_out": 0,
    }
    index = index_of(press.home)
    assert index.stat().st_mode & 0o777 == 0o400
    press.publish(TEXTS)
    assert index.samefile(index_of(press.home)), "an index that stays is linked"


def test_where_links_cannot_be_made_the_index_is_copied(press, model, monkeypatch):
    press.publish(TEXTS)
    embed(press.home, model=model)

    def refuse(*_):
        raise OSError("links are not supported")

    monkeypatch.setattr(os, "link", refuse)
    press.publish(TEXTS)
    assert index_of(press.home).stat().st_size > 1000


def test_vectors_are_stored_normalised_and_small(press, model):
    press.publish(TEXTS)
    embed(press.home, model=model)
    press.publish(TEXTS)
    rows = press.read("select embedding from execution_embeddings order by vector_id")
    kept = np.array([row[0] for row in rows], np.float64)
    exact = model.embed(list(model.texts)).astype(np.float64)
    cosines = (kept * exact).sum(axis=1) / np.linalg.norm(exact, axis=1)
    assert np.allclose(np.linalg.norm(kept, axis=1), 1, atol=1e-4)
    assert (cosines / np.linalg.norm(kept, axis=1)).min() > 1 - 1e-6
    assert np.allclose(np.round(kept, 5), kept, atol=1e-7)


@pytest.mark.parametrize(
    ("vectors", "fault"),
    [
        (lambda texts: np.zeros((len(texts), 384)), "3 of 3 vectors with zeros only"),
        (lambda texts: np.full((len(texts), 384), np.nan), "NaN"),
        (lambda texts: np.full((len(texts), 384), np.inf), "infinity"),
        (lambda texts: np.ones((len(texts), 383)), r"shape \(3, 383\) for 3 texts"),
        (lambda texts: np.ones((1, 384)), r"shape \(1, 384\)"),
        (lambda texts: [[1.0], [1.0, 2.0], []], "no matrix of numbers"),
        (lambda texts: "nothing", "no matrix of numbers"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused_before_they_are_stored(
    press, model, vectors, fault
):
    press.publish(TEXTS)
    good = model.embed
    model.embed = vectors
    with pytest.raises(EmbeddingError, match=fault):
        embed(press.home, model=model)
    model.embed = good
    assert embed(press.home, model=model).embedded == 3


def test_what_was_committed_before_a_failure_is_kept(press, model, monkeypatch):
    monkeypatch.setattr(_run, "CHUNK", 1)
    press.publish(TEXTS)
    good = model.embed
    model.embed = lambda texts: good(texts) if "login" not in texts[0] else good(texts) * np.nan
    with pytest.raises(EmbeddingError):
        embed(press.home, model=model)
    model.embed = good
    report = embed(press.home, model=model)
    assert (report.embedded, report.indexed) == (2, 3)


def test_vectors_that_no_index_holds_yet_wait_for_it(press, model, monkeypatch):
    press.publish(TEXTS[:1])
    embed(press.home, model=model)
    press.publish(TEXTS)
    killed = EmbeddingStore.reindex
    monkeypatch.setattr(EmbeddingStore, "reindex", lambda self: 0)
    embed(press.home, model=model)
    press.publish(TEXTS)
    assert press.read("select count(*) from execution_embeddings") == [(1,)]
    monkeypatch.setattr(EmbeddingStore, "reindex", killed)
    assert embed(press.home, model=model).indexed == 3
    press.publish(TEXTS)
    assert press.read("select count(*) from execution_embeddings") == [(3,)]


def test_what_is_no_longer_published_leaves_no_trace(press, model):
    press.publish([*TEXTS, "rotate the password"])
    embed(press.home, model=model)
    press.publish(TEXTS)  # as after an erasure
    assert press.read("select count(*) from execution_embeddings") == [(3,)]
    report = embed(press.home, model=model)
    assert (report.dropped, report.embedded, report.indexed) == (1, 0, 3)
    with duckdb.connect(str(EmbeddingStore(press.home).vectors)) as connection:
        assert connection.execute("select count(*) from execution_embeddings").fetchall() == [(3,)]
    names = {path.name for path in press.home.embeddings.iterdir()}
    assert {name for name in names if not name.startswith("index-")} == {
        "run.lock",
        "store.json",
        "store.lock",
        "vectors.duckdb",
    }
    assert len(names) == 5


def test_another_model_begins_anew(press, model):
    press.publish(TEXTS)
    embed(press.home, model=model)
    other = type(model)("other words")
    assert embed(press.home, model=other).embedded == 3
    press.publish(TEXTS)
    assert current(press.home).similarity["model"] == "other words"


def test_a_run_that_was_killed_leaves_nothing_behind(press, model):
    press.publish(TEXTS)
    embed(press.home, model=model)
    left = press.home.embeddings / "vectors.duckdb-0123abcd"
    left.write_bytes(b"half")
    embed(press.home, model=model)
    assert not left.exists()


def test_two_runs_do_not_meet(press, model):
    press.publish(TEXTS)
    with EmbeddingStore(press.home).run(), pytest.raises(BusyError, match="another embedding run"):
        embed(press.home, model=model)


def test_a_publication_does_not_wait_for_ever_for_a_commit(press, model, monkeypatch, caplog):
    press.publish(TEXTS)
    embed(press.home, model=model)
    monkeypatch.setattr(_store, "COMMIT_TIMEOUT_SECONDS", 0.05)
    with EmbeddingStore(press.home).committing():
        press.publish(TEXTS)
    assert "published without embeddings" in caplog.text
    assert press.read("select count(*) from executions") == [(4,)]


@pytest.mark.parametrize("part", ["vectors.duckdb", "index"])
def test_what_cannot_be_read_does_not_keep_marts_from_readers(press, model, caplog, part):
    press.publish(TEXTS)
    embed(press.home, model=model)
    if part == "index":
        (path,) = press.home.embeddings.glob("index-*")
        path.unlink()
    else:
        (press.home.embeddings / part).write_bytes(b"no database" * 1000)
    press.publish(TEXTS)
    assert "published without embeddings" in caplog.text
    assert current(press.home).similarity == {
        "model": "",
        "is_indexed": False,
        "common_repo": "",
        "version": SimilarityCompanion(press.home).version(),
        "left_out": 0,
    }
    assert press.read(WITH_EMBEDDINGS) == [(4, 0)]
    assert not index_of(press.home).exists()
    standing = current(press.home)
    assert press.republish() == standing, "what is damaged has nothing copied again and again"


def test_what_a_full_disk_kept_out_is_tried_again(press, model, monkeypatch):
    press.publish(TEXTS)
    embed(press.home, model=model)
    with monkeypatch.context() as patched:
        patched.setattr(_store.shutil, "copyfile", _full)
        press.publish(TEXTS)
    assert press.read(WITH_EMBEDDINGS) == [(4, 0)]
    press.republish()
    assert press.read(WITH_EMBEDDINGS) == [(4, 4)]


def _full(*_):
    raise OSError(errno.ENOSPC, "no space left on device")


def test_a_content_that_goes_and_comes_back_has_its_vector(press, model, caplog):
    caplog.set_level("INFO")
    press.publish(TEXTS)
    embed(press.home, model=model)
    press.publish(TEXTS)
    press.add(TEXTS[0])
    press.republish()

    press.change("fix the login", "fix the logout")
    gone = press.republish()
    assert gone.similarity["left_out"] == 1
    assert press.read("select count(*) from execution_embeddings") == [(2,)]
    press.change("write the docs", "write the book")
    assert press.republish().similarity["left_out"] == 2
    assert "not brought up to date" not in caplog.text, "others do not wait for the next vectors"

    press.change("fix the logout", "fix the login")
    back = press.republish()
    assert "1 vectors that were left out belong to an execution again" in caplog.text
    assert back.similarity["left_out"] == 1
    assert press.read("select count(*) from execution_embeddings") == [(2,)]


def test_vectors_without_a_note_are_not_published(press, model):
    press.publish(TEXTS)
    embed(press.home, model=model)
    (press.home.embeddings / "store.json").unlink()
    press.publish(TEXTS[:1])
    assert press.read("select count(*) from execution_embeddings") == [(0,)]


@pytest.mark.parametrize("identity", ["", None, b"words"])
def test_a_model_needs_a_name(press, model, identity):
    press.publish(TEXTS)
    model.identity = identity
    with pytest.raises(EmbeddingError, match="identity must be a text"):
        embed(press.home, model=model)


@pytest.mark.parametrize("number", range(1, 5))
def test_a_change_of_models_that_is_killed_keeps_no_vector_of_the_old_one(
    press, model, monkeypatch, number
):
    """At each file that is deleted or replaced: vectors, index, and the note twice."""
    press.publish(TEXTS)
    embed(press.home, model=model)
    other = WordModel()
    other.identity = "other"
    left = number

    def dying(real):
        def die(*arguments, **named):
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt
            return real(*arguments, **named)

        return die

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        for step in ("unlink", "replace"):
            patched.setattr(_store.Path, step, dying(getattr(_store.Path, step)))
        embed(press.home, model=other)
    report = embed(press.home, model=other, embedding_batch_limit=1)
    assert (report.embedded, report.remaining, report.indexed) == (1, 2, 1)


def test_a_publication_that_catches_up_finds_what_changed(press, model):
    press.publish(TEXTS)
    embed(press.home, model=model)
    press.publish(TEXTS)
    vectors = press.read("select vector_id, content_hash from execution_embeddings order by 1")
    before = current(press.home)
    press.add(TEXTS[0])
    after = press.republish()
    assert after.id != before.id
    assert after.similarity == before.similarity
    assert press.read("select vector_id, content_hash from execution_embeddings order by 1") == (
        vectors
    )
    assert press.read("select max(executions) from embedded_contents") == [(3,)]
    assert press.read(
        "select count(*) from (select content_hash, unnest(newest_rows) as row"
        " from embedded_contents) as noted inner join executions"
        " on executions.rowid = noted.row and executions.content_hash = noted.content_hash"
    ) == [(5,)]


def test_rows_that_move_when_the_database_is_closed_are_noticed(press, model, monkeypatch, caplog):
    press.publish(TEXTS)
    embed(press.home, model=model)
    press.publish(TEXTS)
    monkeypatch.setattr(_publish, "_CONTENTS", _publish._CONTENTS.replace("rowid", "rowid + 1"))
    press.add(TEXTS[0])
    with pytest.raises(CannotUpdateError, match="rows of executions moved"):
        press.republish()


def test_a_store_that_cannot_be_read_is_an_error_of_the_run(press, model):
    press.publish(TEXTS)
    embed(press.home, model=model)
    EmbeddingStore(press.home).vectors.write_bytes(b"no database" * 1000)
    with pytest.raises(HomeError, match="cannot read the vectors in"):
        embed(press.home, model=model)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_run(press, model):
    press.publish(TEXTS)
    press.home.embeddings.write_text("in the way")
    with pytest.raises(HomeError, match="cannot use"):
        embed(press.home, model=model)


def test_a_note_that_cannot_be_read_says_nothing(press):
    store = EmbeddingStore(press.home)
    assert store.state() == StoreState()
    press.home.embeddings.mkdir()
    note = press.home.embeddings / "store.json"
    for text in ("{", "[]", json.dumps({"what": 1})):
        note.write_text(text)
        assert store.state() == StoreState()


def test_without_faiss_vectors_are_published_without_an_index(press, model, monkeypatch):
    monkeypatch.setattr(_index, "can_index", lambda: False)
    press.publish(TEXTS)
    assert embed(press.home, model=model).indexed == 0
    press.publish(TEXTS)
    assert not index_of(press.home).exists()
    assert press.read("select count(*) from execution_embeddings") == [(3,)]


def test_a_home_may_have_a_quote_in_its_name(press, model, tmp_path):
    other = type(press)(Home.locate(tmp_path / "o'brien"))
    try:
        other.publish(TEXTS)
        assert embed(other.home, model=model).embedded == 3
        other.publish(TEXTS[:1])
        assert embed(other.home, model=model).dropped == 2
    finally:
        other.close()
