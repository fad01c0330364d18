"""What a publication holds for similarity search, beside the tables that dbt built."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning._database import connect, literal, wal
from orb_learning.embeddings._store import TABLE, EmbeddingStore
from orb_learning.errors import OrbLearningError
from orb_learning.home import Home
from orb_learning.publication import CannotUpdateError

if TYPE_CHECKING:
    import duckdb

INDEX = "similarity.faiss"

NEWEST = 100
"""Executions of one content that a search can return: its newest ones."""

logger = logging.getLogger("orb_learning.publication")

_CONTENTS = f"""
create or replace table embedded_contents as
select
    embeddings.vector_id,
    contents.content_hash,
    contents.repo,
    contents.last_executed_at,
    contents.executions,
    contents.newest_rows
from (
    select
        content_hash,
        any_value(repo) as repo,
        max(timestamp) as last_executed_at,
        count(*) as executions,
        max_by(rowid, timestamp, {NEWEST}) as newest_rows
    from executions
    where content_hash in (select content_hash from execution_embeddings)
    group by content_hash
) as contents
inner join execution_embeddings as embeddings using (content_hash)
order by embeddings.vector_id
"""

_VIEW = """
create or replace view executions_with_embeddings as
select executions.*, execution_embeddings.embedding
from executions left join execution_embeddings using (content_hash)
"""

_COMMON_REPO = "select repo from executions group by repo order by count(*) desc, repo limit 1"


@dataclass(frozen=True, slots=True)
class _Said:
    """What a publication's manifest says of similarity search.

    Attributes:
        model: identity of the model whose vectors these are; empty where there are none.
        is_indexed: whether a faiss index lies beside the database.
        common_repo: the repository with the most executions; it stands in the text of a question
            that names none.
        version: which state of the store these are.
        left_out: vectors of the store that no execution has any more.
    """

    model: str = ""
    is_indexed: bool = False
    common_repo: str = ""
    version: str = ""
    left_out: int = 0


class SimilarityCompanion:
    """Adds the vectors of a home, and their index, to its publications.

    What cannot be read is left out with a warning: vectors must not keep marts from readers.
    """

    tables = frozenset({"execution_embeddings", "embedded_contents"})

    def __init__(self, home: Home) -> None:
        """Read nothing yet."""
        self._store = EmbeddingStore(home)

    def version(self) -> str:
        """Return a text that changes whenever the vectors or their index do; empty without any."""
        state = self._store.state()
        try:
            found = self._store.vectors.stat()
        except OSError:
            return ""
        return f"{state.model} {state.index} {found.st_size} {found.st_mtime_ns}"

    def begin(self, database: Path, last: tuple[Path, dict[str, Any]] | None) -> dict[str, Any]:
        """Make the database with the vectors that there are, and link their index.

        Of a copy of the last publication only the index is missing. See `Companion.begin`.
        """
        if last is None:
            return asdict(self._staged(database))
        folder, said = last
        if (folder / INDEX).exists():
            # Never rewritten, only replaced.
            database.with_name(INDEX).hardlink_to(folder / INDEX)
        return said

    def complete(
        self, database: Path, begun: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Add what similarity search needs once the tables are there. See `Companion.complete`.

        Raises:
            CannotUpdateError: rows that were deleted earlier made those that were noted move, or
                vectors that were left out belong to an execution again.
        """
        staged = _Said(**begun)
        with connect(database, self._store.home) as connection:
            if not connection.execute(
                "from duckdb_tables() where table_name = 'executions'"
            ).fetchone():
                return begun, {}
            left_out = 0
            if staged.model:
                ((left_out,),) = connection.execute(
                    "delete from execution_embeddings"
                    " where content_hash not in (select content_hash from executions)"
                ).fetchall()
                if staged.left_out:
                    _refuse_if_any_came_back(connection, self._store)
            else:  # vectors of a model that nobody knows any more are of no use
                connection.execute("drop table if exists execution_embeddings")
                connection.execute(TABLE)
            connection.execute(_CONTENTS)
            connection.execute(_VIEW)
            rows = {}
            for table in sorted(self.tables):
                ((rows[table],),) = connection.execute(f"select count(*) from {table}").fetchall()
            common = connection.execute(_COMMON_REPO).fetchone() if staged.model else None
        _check_row_numbers(database, is_needed=bool(staged.model))
        completed = replace(
            staged,
            common_repo=common[0] if common else "",
            left_out=staged.left_out + left_out,
        )
        return asdict(completed), rows

    def _staged(self, database: Path) -> _Said:
        import duckdb

        index = database.with_name(INDEX)
        found = self.version()
        try:
            state = self._store.copy_into(database, index)
            if not state.model:
                return _Said(version=found)
            with connect(database, self._store.home) as connection:
                connection.execute("select embedding, vector_id from execution_embeddings limit 1")
                if state.index:
                    # What came after the index was made would not be found by it.
                    connection.execute(
                        "delete from execution_embeddings where vector_id > ?", [state.indexed_to]
                    )
        except (OrbLearningError, OSError, duckdb.Error) as error:
            logger.warning("published without embeddings: %s", str(error).partition("\n")[0])
            for left in (database, wal(database), index):
                left.unlink(missing_ok=True)
            # What a full disk did is tried again; what is damaged or missing stays so until the
            # vectors change, and shall not have every table copied each time.
            is_lasting = not isinstance(error, OSError) or isinstance(error, FileNotFoundError)
            return _Said(version=found if is_lasting else "")
        return _Said(state.model, state.index is not None, version=found)


def _refuse_if_any_came_back(connection: duckdb.DuckDBPyConnection, store: EmbeddingStore) -> None:
    """Refuse a copy that lacks vectors that the store has and an execution needs.

    Raises:
        CannotUpdateError: it does.
        duckdb.Error: the store cannot be read.
    """
    state = store.state()
    connection.execute(f"attach {literal(store.vectors)} as store (read_only)")
    try:
        ((back,),) = connection.execute(
            """
            select count(*) from store.execution_embeddings
            where content_hash in (select content_hash from executions)
                and content_hash not in (select content_hash from execution_embeddings)
                and (vector_id <= $1 or not $2)
            """,
            [state.indexed_to, state.index is not None],
        ).fetchall()
    finally:
        connection.execute("detach store")
    if back:
        raise CannotUpdateError(f"{back} vectors that were left out belong to an execution again")


def _check_row_numbers(database: Path, *, is_needed: bool) -> None:
    """Make sure that closing the database moved no row: a checkpoint may, after deletes.

    Raises:
        CannotUpdateError: it did.
    """
    if not is_needed:
        return
    with connect(database, read_only=True) as connection:
        ((moved,),) = connection.execute(
            """
            select count(*)
            from (
                select content_hash, unnest(newest_rows) as row from embedded_contents
            ) as noted
            left join executions on executions.rowid = noted.row
            where executions.content_hash is distinct from noted.content_hash
            """
        ).fetchall()
    if moved:
        raise CannotUpdateError(f"{moved} rows of executions moved when the database was closed")
