"""`LearningDatabase`: the questions that a router, a tool or a notebook asks."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar
from uuid import UUID

from orb_learning._types import task_uuid
from orb_learning.embeddings import checked_question, load_model, locate_model
from orb_learning.errors import EmbeddingError, InvalidQueryError, NotPublishedError
from orb_learning.home import Home
from orb_learning.records import ExecutionRecord
from orb_learning.serving._arguments import (
    MAX_CAP,
    MAX_DAYS,
    MAX_LIMIT,
    MAX_THREADS,
    checked_count,
    checked_text,
    first_day,
    of_repo,
)
from orb_learning.serving._guard import read_only
from orb_learning.serving._marts import PATTERNS, POOLS, TIERS, TREND, Mart
from orb_learning.serving._publications import CLOSED, OpenPublication, Publications
from orb_learning.serving._queries import Parameters, Runner, execute
from orb_learning.serving._recommender import Advising, Recommender
from orb_learning.serving._results import MAX_BYTES, MAX_ROWS, Cap, QueryResult, Reader, fetch
from orb_learning.serving._rows import (
    Execution,
    PoolPerformance,
    QualityTrend,
    Row,
    SimilarExecution,
    SolutionPattern,
    TierPerformance,
    fetch_typed,
)
from orb_learning.serving._similarity import executions_sql

if TYPE_CHECKING:
    import duckdb

    from orb_learning._telemetry import Telemetry
    from orb_learning.embeddings import EmbeddingModel
    from orb_learning.publication import Publication
    from orb_learning.refresh import Refresher

R = TypeVar("R", bound=Row)
T = TypeVar("T")


class LearningDatabase(Advising):
    """Reads the current publication; beside a running refresh, and always a whole one.

    Each call reads one publication. A newer one is used from the next call on. Queries run on
    threads, never on the event loop.

        async with LearningDatabase() as learning:
            tiers = await learning.get_tier_performance(repo="acme/api")
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        pool_size: int = 4,
        timeout_seconds: float = 10.0,
        memory_limit: str = "1GB",
        threads: int = 2,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        embedding_model: str | os.PathLike[str] | EmbeddingModel | None = None,
    ) -> None:
        """Open nothing yet; `initialize`, or the first call, does.

        Args:
            home: the home directory; default $ORB_LEARNING_HOME, else ./data.
            pool_size: queries that run at the same time; further ones wait.
            timeout_seconds: how long a call may take before it is interrupted.
            memory_limit: how much memory DuckDB may use, such as `1GB`.
            threads: how many threads DuckDB may use, all queries together.
            max_rows: how many rows a result of `query` may have.
            max_bytes: how much memory it may take, about; as rows, as an Arrow table or a frame.
            embedding_model: what turns a task's description into a vector: a directory, a name on
                the hub, or a model of the host's own; default as for `orb-learning embed`. It is
                loaded by the first search.

        Raises:
            InvalidQueryError: a size or a limit is not above 0, or the model is no such thing.
        """
        checked_count("pool_size", pool_size, MAX_THREADS, least=1)
        checked_count("threads", threads, MAX_THREADS, least=1)
        checked_count("max_rows", max_rows, MAX_CAP, least=1)
        checked_count("max_bytes", max_bytes, MAX_CAP, least=1)
        if not (isinstance(timeout_seconds, int | float) and timeout_seconds > 0):
            raise InvalidQueryError("timeout_seconds: expected a number of seconds above 0")
        if not (
            embedding_model is None
            or isinstance(embedding_model, str | os.PathLike)
            or callable(getattr(embedding_model, "embed", None))
        ):
            raise InvalidQueryError(
                "embedding_model: expected a directory, a name, or an object with `embed`"
            )
        self.home = Home.locate(home)
        self._publications = Publications(self.home, threads=threads, memory_limit=memory_limit)
        self._runner = Runner(pool_size, timeout_seconds)
        self._cap = Cap(max_rows, max_bytes)
        self._telemetry: Telemetry | None = None
        self._refresher: Refresher | None = None
        self._refreshing = threading.Lock()
        self._is_closed = False
        self._embedding_model = embedding_model
        self._loading = threading.Lock()
        self._recommender = Recommender(publications=self._publications)

    async def initialize(self) -> Publication:
        """Open the current publication, and return its manifest.

        Raises:
            NotPublishedError: nothing is published yet.
        """
        return await asyncio.to_thread(lambda: self._publications.current().publication)

    async def close(self) -> None:
        """Let go of everything; closing twice is harmless."""
        self._is_closed = True
        self._runner.close()
        self._publications.close()
        if self._telemetry is not None:
            self._telemetry.close()

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def store_execution(self, record: ExecutionRecord) -> UUID:
        """Capture a finished execution, durably; it is seen after the next refresh.

        Returns:
            the execution's task id.

        Raises:
            InvalidEventError: the record breaks its contract.
            SpoolWriteError: the system refused to store it.
        """
        if self._is_closed:
            raise InvalidQueryError(CLOSED)
        if self._telemetry is None:
            from orb_learning._telemetry import Telemetry

            self._telemetry = Telemetry(self.home.root, strict=True)
        self._telemetry.record_execution_sync(record)
        return record.task_id

    async def refresh(self) -> Publication:
        """Load, build and publish now, so that what was stored before is seen.

        Raises:
            RefreshError: dbt failed; the last publication stands.
            ProjectError: dbt is not installed.
        """
        from orb_learning.refresh import Refresher

        def refresh() -> Publication:
            # In the thread: a caller that gives up does not end what it began.
            with self._refreshing:
                if self._refresher is None:
                    self._refresher = Refresher(self.home.root)
                return self._refresher.refresh().publication

        return await asyncio.to_thread(refresh)

    async def get_execution(self, task_id: UUID | str) -> Execution | None:
        """Return one execution, or None if there is none of that id.

        Args:
            task_id: the execution's id, or the host's own reference that it was captured with.
        """
        try:
            wanted = task_uuid(task_id)
        except ValueError as error:
            raise InvalidQueryError(f"task_id: {error}") from error

        def fetch(opened: OpenPublication, cursor: duckdb.DuckDBPyConnection) -> Execution | None:
            # Executions lie in the order of time, and tasks in that of their ids: the task tells
            # when to look. The id of a later attempt is not a task's, and is looked for everywhere.
            cursor.execute(
                "select first_routed_at, last_routed_at from learning.tasks"
                f" where task_id = '{wanted}'"
            )
            # Of everything one column first, then the rest of one row.
            row = f"select rowid from learning.executions where task_id = '{wanted}'"
            conditions = [
                f"task_id = '{wanted}' and timestamp between '{first}' and '{last}'"
                for first, last in cursor.fetchall()
            ]
            for condition in (*conditions, f"rowid in ({row})"):
                found = fetch_typed(
                    cursor, Execution, opened.select(Execution, "executions", condition)
                )
                if found:
                    return found[0]
            return None

        return await self._runner.run(self._publications.current, fetch)

    async def get_tier_performance(
        self, repo: str | None = None, days_back: int = 30
    ) -> list[TierPerformance]:
        """Return how each tier did, by repository, kind of task and day; the newest day first.

        Args:
            repo: only this repository; None for all.
            days_back: days before the publication's `as_of`; the mart holds 30 by default.
        """
        return await self._of_mart(TIERS, repo, days_back)

    async def get_pool_performance(
        self, repo: str | None = None, days_back: int = 7
    ) -> list[PoolPerformance]:
        """Return how each kind of pool did, by repository and hour; the newest hour first.

        Args:
            repo: only this repository; None for all.
            days_back: days before the publication's `as_of`; the mart holds 7 by default.
        """
        return await self._of_mart(POOLS, repo, days_back)

    async def get_solution_patterns(
        self, repo: str | None = None, min_usage: int = 5, limit: int = 10
    ) -> list[SolutionPattern]:
        """Return the solutions that worked best, of the last 90 days by default.

        Args:
            repo: only this repository; None for all.
            min_usage: only solutions used at least so often; the mart leaves out those under 5.
            limit: at most so many.
        """
        least = checked_count("min_usage", min_usage, MAX_LIMIT)
        most = checked_count("limit", limit, MAX_LIMIT)
        return await self._rows(
            PATTERNS,
            f"{of_repo(repo)} and usage_count >= {least}",
            f"order by {PATTERNS.order} limit {most}",
        )

    async def get_quality_trend(
        self, repo: str | None = None, days_back: int = 30
    ) -> list[QualityTrend]:
        """Return a repository's quality by day, the oldest day first.

        Args:
            repo: only this repository; None for each of them.
            days_back: days before the publication's `as_of`; the mart holds 90 by default.
        """
        return await self._of_mart(TREND, repo, days_back, order="repo, date")

    async def find_similar_executions(
        self,
        task_description: str,
        repo: str | None = None,
        limit: int = 10,
        days_back: int = 90,
        threshold: float = 0.7,
    ) -> list[SimilarExecution]:
        """Return past executions that resemble a task, the most similar first.

        Only executions that `orb-learning embed` has seen can be found. The first call loads the
        model, in about a second; the time limit does not count that.

        Args:
            task_description: what is to be done, in words.
            repo: only this repository; None for all.
            limit: at most so many.
            days_back: days before the publication's `as_of`.
            threshold: the least similarity, a cosine from -1 to 1.

        Raises:
            EmbeddingError: no model is installed, or the published vectors are another model's.
            NotPublishedError: no vectors are published; the message says what makes them.
        """
        if not isinstance(task_description, str) or not task_description.strip():
            raise InvalidQueryError("task_description: expected a text that is not empty")
        checked_text("task_description", task_description)
        repo = checked_text("repo", repo)
        count = checked_count("limit", limit, MAX_LIMIT)
        days = checked_count("days_back", days_back, MAX_DAYS)
        if not (isinstance(threshold, int | float) and -1 <= threshold <= 1):
            raise InvalidQueryError(f"threshold: expected a number from -1 to 1, not {threshold!r}")
        if not count:
            return []
        model = await asyncio.to_thread(self._load_model)

        def search(
            opened: OpenPublication, cursor: duckdb.DuckDBPyConnection
        ) -> list[SimilarExecution]:
            similarity = opened.similarity()
            if not similarity.model:
                raise NotPublishedError(
                    f"no embeddings are published in {self.home.root}; "
                    "run `orb-learning embed`, then `orb-learning refresh`"
                )
            if similarity.model != model.identity:
                raise EmbeddingError(
                    f"the published embeddings are those of the model {similarity.model}, not of "
                    f"{model.identity}; run `orb-learning embed`, then `orb-learning refresh`"
                )
            text = similarity.question(task_description, repo)
            vector = checked_question(model.embed([text]))
            since = first_day(opened.publication, days)
            nearest = similarity.nearest(
                cursor, vector, repo=repo, since=since, limit=count, threshold=threshold
            )
            sql = executions_sql(opened.columns_of(Execution, "executions"), nearest, since, count)
            return fetch_typed(cursor, SimilarExecution, sql)

        return await self._runner.run(self._publications.current, search)

    async def query(
        self, sql: str, params: Parameters = None, *, limit: int | None = None
    ) -> QueryResult:
        """Run any read-only query on the current publication.

        Args:
            sql: one SELECT of DuckDB's SQL; it can neither write, nor read files, nor change
                settings.
            params: values for `?`, or by name for `$name`.
            limit: take so many rows and leave the rest; None takes all.

        Raises:
            InvalidQueryError: DuckDB refuses it; the message is DuckDB's own.
            ResultTooLargeError: the result is larger than `max_rows` or `max_bytes`.
            QueryTimeoutError: it took longer than the time limit. A single function call, such as
                one that makes a list of a billion numbers, is not interrupted before it returns.
        """
        if limit is not None:
            limit = checked_count("limit", limit, MAX_CAP, least=1)
        cap = replace(self._cap, first=limit)

        def run(opened: OpenPublication, cursor: duckdb.DuckDBPyConnection) -> QueryResult:
            text = read_only(cursor, sql)  # here, for a long text keeps an event loop waiting

            def answer(cursor: duckdb.DuckDBPyConnection, read: Reader[T]) -> T:
                # A result waits in this buffer, where texts count for nothing: of wide rows it held
                # gigabytes before the first was measured. With one byte, DuckDB waits forever.
                cursor.execute("use learning.main; set streaming_buffer_size = '1KB'")
                execute(cursor, text, params)
                return read(cursor, cap)

            def again(read: Reader[T]) -> T:
                return self._runner.run_here(opened, lambda _, cursor: answer(cursor, read))

            rows = answer(cursor, fetch)
            columns = tuple(column[0] for column in cursor.description or ())
            return QueryResult(columns, rows, opened.publication.id, again)

        return await self._runner.run(self._publications.current, run)

    async def _of_mart(
        self, mart: Mart[R], repo: str | None, days_back: int, order: str | None = None
    ) -> list[R]:
        days = checked_count("days_back", days_back, MAX_DAYS)
        return await self._rows(mart, of_repo(repo), f"order by {order or mart.order}", days=days)

    async def _rows(
        self, mart: Mart[R], condition: str, rest: str, *, days: int | None = None
    ) -> list[R]:
        """Return the rows of a mart that meet a condition.

        Values stand in the SQL as literals: with one parameter or more, DuckDB's Python client
        plans a query twice, and looks for pandas at each value, which doubles the time of a small
        query.
        """

        def fetch(opened: OpenPublication, cursor: duckdb.DuckDBPyConnection) -> list[R]:
            since = "" if days is None else first_day(opened.publication, days)
            dated = f" and date >= date '{since}'" if since else ""
            where = f"{condition}{dated} {rest}"
            return fetch_typed(cursor, mart.row, opened.select(mart.row, mart.name, where))

        return await self._runner.run(self._publications.current, fetch)

    def _load_model(self) -> EmbeddingModel:
        with self._loading:
            model = self._embedding_model
            if model is None or isinstance(model, str | os.PathLike):
                self._embedding_model = model = load_model(locate_model(model))
            return model
