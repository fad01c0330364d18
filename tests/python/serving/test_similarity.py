"""Searching past executions, on publications made by dbt and by an embedding run."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from orb_learning import ExecutionRecord, Telemetry
from orb_learning.embeddings import embed
from orb_learning.embeddings._vectors import checked
from orb_learning.errors import EmbeddingError, InvalidQueryError, NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.serving import LearningDatabase, _similarity
from words import WordModel

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

HISTORY = [
    ("split the parser", "acme/api", 0),
    ("split the parser", "acme/api", 1),
    ("split the parser", "acme/api", 1),
    ("split the tokenizer", "acme/api", 2),
    ("split the parser", "acme/web", 3),
    ("rotate the password", "acme/web", 4.5),
    ("write the docs", "acme/web", 40),
    ("split the parser", "acme/old", 90),
    ("split the parser", "acme/older", 91),
]
"""What was done where, how many days before noon of the publication's day; 4.5 is a midnight."""
FOUND = 8
"""How many of them lie within the default days."""


def record(number: int, description: str, repo: str, days: float) -> ExecutionRecord:
    return ExecutionRecord(
        task_id=UUID(int=len(HISTORY) - number),
        timestamp=NOW - timedelta(days=days),
        task_type="refactor",
        task_description=description,
        repo=repo,
        model_tier="large",
        pool_type="swarm",
        routing_confidence=0.8,
        success=True,
        duration_seconds=1.0,
        cost_estimate=0.5,
        actual_cost=0.25,
    )


@pytest.fixture(scope="module")
def unsearched(tmp_path_factory: pytest.TempPathFactory, refresh: Callable[..., None]) -> Home:
    """A home whose publication has no vectors."""
    root = tmp_path_factory.mktemp("similarity") / "home"
    with Telemetry(root, strict=True) as telemetry:
        for number, (description, repo, days) in enumerate(HISTORY):
            telemetry.record_execution_sync(record(number, description, repo, days))
    refresh(root, as_of=NOW.isoformat())
    return Home.locate(root)


@pytest.fixture(scope="module")
def searchable(
    unsearched: Home, tmp_path_factory: pytest.TempPathFactory, refresh: Callable[..., None]
) -> Home:
    """A home whose publication has vectors and their index."""
    root = tmp_path_factory.mktemp("similarity") / "home"
    shutil.copytree(unsearched.root, root, symlinks=True)
    embed(root, model=WordModel())
    refresh(root, as_of=NOW.isoformat())
    return Home.locate(root)


@pytest.fixture(params=["faiss", "DuckDB"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of searching: with the index, and as an install without faiss does."""
    if request.param == "DuckDB":
        monkeypatch.setattr(_similarity, "can_index", lambda: False)
    return request.param


Question = Callable[[LearningDatabase], Coroutine[Any, Any, Any]]


def ask(home: Home, question: Question, **how: Any) -> Any:
    async def run() -> Any:
        async with LearningDatabase(home.root, **{"embedding_model": WordModel(), **how}) as db:
            return await question(db)

    return asyncio.run(run())


def test_the_most_similar_come_first_and_the_newest_of_equals(searchable, path):
    def search(db: LearningDatabase) -> Any:
        return db.find_similar_executions("split the parser", "acme/api", threshold=0.6)

    found = ask(searchable, search)
    assert [row.task_description for row in found] == [
        "split the parser",
        "split the parser",
        "split the parser",
        "split the tokenizer",
    ]
    assert found[0].timestamp > found[1].timestamp == found[2].timestamp
    assert found[1].task_id < found[2].task_id
    assert found[0].similarity == found[2].similarity > found[3].similarity >= 0.6
    assert found[0].model_dump()["model_tier"] == "large"


@pytest.mark.parametrize("damage", ["gone", "junk", "half"])
def test_an_index_that_cannot_be_read_is_done_without(searchable, tmp_path, damage, caplog):
    root = tmp_path / "home"
    shutil.copytree(searchable.root, root, symlinks=True)
    index = root / "published" / "current" / "similarity.faiss"
    index.chmod(0o600)
    whole = index.read_bytes()
    index.unlink()
    if damage != "gone":
        index.write_bytes(b"junk" * 99 if damage == "junk" else whole[: len(whole) // 2])
    found = [
        ask(home, lambda db: db.find_similar_executions("split the parser", threshold=-1))
        for home in (searchable, Home(root))
    ]
    assert [row.task_id for row in found[0]] == [row.task_id for row in found[1]]
    assert "similarity search without its index" in caplog.text


class Lists(WordModel):
    """A host's own model, which gives lists."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def embed(self, texts: Any) -> Any:
        return self.answer


def test_the_base_install_searches_without_numpy_and_faiss(searchable, monkeypatch):
    (vector,) = WordModel().embed(["split the parser"]).tolist()
    with monkeypatch.context() as patched:
        for library in ("numpy", "faiss"):
            patched.setitem(sys.modules, library, None)
        patched.setattr(_similarity, "can_index", lambda: False)
        found = ask(
            searchable,
            lambda db: db.find_similar_executions("split the parser", threshold=-1),
            embedding_model=Lists([vector]),
        )
        with pytest.raises(EmbeddingError, match="numpy"):
            checked([vector], 1)
    indexed = ask(
        searchable,
        lambda db: db.find_similar_executions("split the parser", threshold=-1),
        embedding_model=Lists(np.asarray([vector])),
    )
    assert [row.task_id for row in found] == [row.task_id for row in indexed]
    assert [row.similarity for row in found] == pytest.approx(
        [row.similarity for row in indexed], abs=1e-3
    )


@pytest.mark.parametrize(
    "answer",
    [
        [[0.0] * 384],
        [[float("nan")] * 384],
        [[1.0] * 383],
        [[1.0] * 384] * 2,
        [["a"] * 384],
        [[10**400] * 384],
        [],
        None,
    ],
)
def test_a_question_whose_vector_cannot_be_compared_is_refused(searchable, answer):
    with pytest.raises(EmbeddingError, match="the model returned"):
        ask(
            searchable,
            lambda db: db.find_similar_executions("split the parser"),
            embedding_model=Lists(answer),
        )


def test_both_ways_of_searching_agree(searchable, monkeypatch):
    def search(db):
        return db.find_similar_executions("split the docs", threshold=-1)

    with_index = ask(searchable, search)
    monkeypatch.setattr(_similarity, "can_index", lambda: False)
    without = ask(searchable, search)
    assert [row.task_id for row in with_index] == [row.task_id for row in without]
    for one, other in zip(with_index, without, strict=True):
        assert one.similarity == pytest.approx(other.similarity, abs=1e-3)
    assert len(with_index) == FOUND


def test_repository_days_limit_and_threshold_narrow_the_search(searchable, path):
    async def search(db: LearningDatabase) -> None:
        async def found(**how: Any) -> list[str]:
            rows = await db.find_similar_executions("split the parser", **{"threshold": -1, **how})
            return [row.task_description for row in rows]

        assert len(await found(repo="acme/web")) == 3
        assert await found(repo="nowhere") == []
        assert await found(repo="' or 1=1 --") == []
        assert len(await found(days_back=10)) == 6
        assert len(await found(days_back=4)) == 6, "a day begins at midnight"
        assert len(await found(days_back=3)) == 5
        assert len(await found(days_back=0)) == 1
        assert len(await found(days_back=100_000)) == len(HISTORY)
        assert len(await found(days_back=90)) == len(await found()) == FOUND
        assert len(await found(days_back=89)) == FOUND - 1
        assert await found(limit=2) == ["split the parser"] * 2
        assert await found(limit=0) == []
        assert len(await found(limit=1_000_000)) == FOUND
        assert await found(threshold=1) == []
        assert await found(threshold=0.8) == ["split the parser"] * 3

    ask(searchable, search)


def test_what_is_just_as_similar_as_asked_for_is_found(searchable, path):
    async def search(db: LearningDatabase) -> None:
        rows = await db.find_similar_executions("split the parser", threshold=-1)
        least = rows[-1].similarity
        again = await db.find_similar_executions("split the parser", threshold=least)
        assert again == rows
        assert rows[0].similarity > least
        fewer = await db.find_similar_executions("split the parser", threshold=least + 1e-9)
        assert len(fewer) < len(rows)

    ask(searchable, search)


def test_a_question_without_a_repository_is_of_the_commonest(searchable):
    model = WordModel()
    ask(searchable, lambda db: db.find_similar_executions("x"), embedding_model=model)
    ask(searchable, lambda db: db.find_similar_executions("x", "mine"), embedding_model=model)
    assert model.texts == ["task: x | repo: acme/api", "task: x | repo: mine"]


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        (lambda db: db.find_similar_executions(""), "task_description: expected a text that is"),
        (lambda db: db.find_similar_executions(" \n"), "task_description"),
        (lambda db: db.find_similar_executions(7), "task_description"),
        (lambda db: db.find_similar_executions("\ud800"), "half a character"),
        (lambda db: db.find_similar_executions("x", repo=7), "repo: expected a text"),
        (lambda db: db.find_similar_executions("x", limit=-1), "limit"),
        (lambda db: db.find_similar_executions("x", days_back=-1), "days_back"),
        (lambda db: db.find_similar_executions("x", threshold=1.5), "threshold"),
        (lambda db: db.find_similar_executions("x", threshold=float("nan")), "threshold"),
        (lambda db: db.find_similar_executions("x", threshold="0.7"), "threshold"),
    ],
)
def test_a_bad_question_gets_a_clear_error(searchable, question, fault):
    with pytest.raises(InvalidQueryError, match=fault):
        ask(searchable, question)


@pytest.mark.parametrize(
    "text", ["'; drop table executions; --", "$found", "?", "\0", "x" * 100_000]
)
def test_any_text_can_be_searched_for(searchable, path, text):
    found = ask(searchable, lambda db: db.find_similar_executions(text, threshold=-1))
    assert len(found) == FOUND


def test_vectors_of_another_model_are_not_compared(searchable):
    with pytest.raises(EmbeddingError, match="those of the model words, not of others"):
        ask(
            searchable,
            lambda db: db.find_similar_executions("x"),
            embedding_model=WordModel("others"),
        )


def test_without_a_model_the_error_says_what_to_install(searchable, monkeypatch):
    from orb_learning.embeddings import _source

    monkeypatch.delenv(_source.MODEL_VARIABLE, raising=False)
    monkeypatch.setattr(_source, "find_spec", lambda name: None)

    async def search(db: LearningDatabase) -> None:
        with pytest.raises(EmbeddingError, match="pip install"):
            await db.find_similar_executions("x")
        assert (await db.query("select count(*) from executions")).rows == [(len(HISTORY),)]

    ask(searchable, search, embedding_model=None)


def test_before_the_first_embeddings_the_error_says_how_to_make_them(unsearched):
    with pytest.raises(NotPublishedError, match="run `orb-learning embed`, then"):
        ask(unsearched, lambda db: db.find_similar_executions("x"))


def test_the_packaged_model_finds_what_is_said_in_other_words(unsearched, tmp_path, cache, refresh):
    root = tmp_path / "home"
    shutil.copytree(unsearched.root, root, symlinks=True)
    assert embed(root).embedded == 7
    refresh(root, as_of=NOW.isoformat())
    assert current(Home.locate(root)).similarity["model"].startswith("sha256:")

    async def search(db: LearningDatabase) -> list[str]:
        questions = ("break up the parser", "passwords must be changed")
        return [
            (await db.find_similar_executions(question, threshold=0.3))[0].task_description
            for question in questions
        ]

    found = ask(Home.locate(root), search, embedding_model=None)
    assert found == ["split the parser", "rotate the password"]
