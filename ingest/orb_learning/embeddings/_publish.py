"""What a publication holds for similarity search, beside the tables that dbt built."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._catching_up import UnfitError
from orb_learning._database import connect, literal
from orb_learning.embeddings._store import TABLE, EmbeddingStore
from orb_learning.errors import OrbLearningError
from orb_learning.home import Home

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
class Similarity:
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


def vectors_version(home: Home) -> str:
    """Return a text that changes whenever the vectors or their index do; empty without vectors."""
    store = EmbeddingStore(home)
    state = store.state()
    try:
        found = store.vectors.stat()
    except OSError:
        return ""
    return f"{state.model} {state.index} {found.st_size} {found.st_mtime_ns}"


def stage_embeddings(home: Home, database: Path) -> Similarity:
    """Begin a publication's database with the vectors that there are, and link their index.

    What cannot be read is left out with a warning: vectors must not keep marts from readers.

    Args:
        home: whose vectors.
        database: a file to make; it does not exist afterwards if there are no vectors.
    """
    index = database.with_name(INDEX)
    import duckdb

    found = vectors_version(home)
    try:
        state = EmbeddingStore(home).copy_into(database, index)
        if not state.model:
            return Similarity(version=found)
        with connect(database) as connection:
            connection.execute("select embedding, vector_id from execution_embeddings limit 1")
            if state.index:
                # What came after the index was made would not be found by it.
                connection.execute(
                    "delete from execution_embeddings where vector_id > ?", [state.indexed_to]
                )
    except (OrbLearningError, OSError, duckdb.Error) as error:
        logger.warning("published without embeddings: %s", str(error).partition("\n")[0])
        for left in (database, database.with_name(database.name + ".wal"), index):
            left.unlink(missing_ok=True)
        # What a full disk did is tried again; what is damaged or missing stays so until the vectors
        # change, and shall not have every table copied each time.
        is_lasting = not isinstance(error, OSError) or isinstance(error, FileNotFoundError)
        return Similarity(version=found if is_lasting else "")
    return Similarity(state.model, state.index is not None, version=found)


def complete_embeddings(
    database: Path, staged: Similarity, home: Home
) -> tuple[Similarity, dict[str, int]]:
    """Add what similarity search needs once the tables are there.

    Args:
        database: the publication's database, closed.
        staged: what `stage_embeddings` returned, or what the publication says that is copied.
        home: whose vectors they are.

    Returns:
        what the manifest says of it, and the rows of each table that was added.

    Raises:
        UnfitError: rows that were deleted earlier made those that were noted move, or vectors that
            were left out belong to an execution again.
    """
    with connect(database) as connection:
        if not connection.execute(
            "from duckdb_tables() where table_name = 'executions'"
        ).fetchone():
            return staged, {}
        left_out = 0
        if staged.model:
            ((left_out,),) = connection.execute(
                "delete from execution_embeddings"
                " where content_hash not in (select content_hash from executions)"
            ).fetchall()
            if staged.left_out:
                _refuse_if_any_came_back(connection, EmbeddingStore(home))
        else:  # vectors of a model that nobody knows any more are of no use
            connection.execute("drop table if exists execution_embeddings")
            connection.execute(TABLE)
        connection.execute(_CONTENTS)
        connection.execute(_VIEW)
        rows = {}
        for table in ("execution_embeddings", "embedded_contents"):
            ((rows[table],),) = connection.execute(f"select count(*) from {table}").fetchall()
        common = connection.execute(_COMMON_REPO).fetchone() if staged.model else None
    _check_row_numbers(database, is_needed=bool(staged.model))
    completed = replace(
        staged,
        common_repo=common[0] if common else "",
        left_out=staged.left_out + left_out,
    )
    return completed, rows


def _refuse_if_any_came_back(connection: duckdb.DuckDBPyConnection, store: EmbeddingStore) -> None:
    """Refuse a copy that lacks vectors that the store has and an execution needs.

    Raises:
        UnfitError: it does.
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
        raise UnfitError(f"{back} vectors that were left out belong to an execution again")


def _check_row_numbers(database: Path, *, is_needed: bool) -> None:
    """Make sure that closing the database moved no row: a checkpoint may, after deletes.

    Raises:
        UnfitError: it did.
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
        raise UnfitError(f"{moved} rows of executions moved when the database was closed")
