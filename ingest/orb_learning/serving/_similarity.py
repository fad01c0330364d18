"""Finding past executions that resemble a task, within one publication."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import literal
from orb_learning.embeddings import DIMENSIONS, INDEX, VectorIndex, can_index

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    from orb_learning.publication import Publication

logger = logging.getLogger("orb_learning.serving")

_CONTENTS = """
select vector_id, repo, epoch_us(last_executed_at) as at
from learning.embedded_contents
order by vector_id
"""


class Similarity:
    """The vectors of one publication.

    With an index beside the database the search reads that; without, DuckDB compares every vector.
    """

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, publication: Publication, folder: Path
    ) -> None:
        """Open the index, if there is one and faiss can read it."""
        self.model: str = publication.similarity.get("model", "")
        self._common_repo: str = publication.similarity.get("common_repo", "")
        self._index: VectorIndex | None = None
        if publication.similarity.get("is_indexed") and can_index():
            import numpy as np

            try:
                self._index = VectorIndex(folder / INDEX)
            except (OSError, RuntimeError) as error:  # gone with its folder, or damaged
                logger.warning("similarity search without its index: %s", error)
                return
            # In memory, 20 bytes a content: which of them a question allows.
            columns = cursor.execute(_CONTENTS).fetchnumpy()
            self._identities: NDArray[np.int64] = np.asarray(columns["vector_id"])
            self._at: NDArray[np.int64] = np.asarray(columns["at"])
            names, codes = np.unique(np.asarray(columns["repo"], str), return_inverse=True)
            self._repos: dict[str, int] = {str(name): code for code, name in enumerate(names)}
            self._repo_codes: NDArray[np.int32] = codes.astype(np.int32)

    def question(self, task_description: str, repo: str | None) -> str:
        """Return the text whose vector is compared.

        It has the form of an execution's own text, as far as a question says something about it.
        Of executions with the very same description, a bare description finds one in eight above a
        cosine of 0.7, this three in four, and what is unrelated stays below 0.65
        (docs/architecture.md).
        """
        return f"task: {task_description} | repo: {repo or self._common_repo}"

    def nearest(
        self,
        cursor: duckdb.DuckDBPyConnection,
        vector: list[float],
        *,
        repo: str | None,
        since: str,
        limit: int,
        threshold: float,
    ) -> list[tuple[int, float]]:
        """Return the contents that resemble a vector most, by identity, with their cosines.

        Args:
            cursor: of the same publication.
            vector: 384 floats, normalised.
            repo: only this repository; None for all.
            since: only what was executed at or after this day, ISO 8601.
            limit: at most so many.
            threshold: the least cosine.
        """
        if self._index is None:
            found = cursor.execute(_exact_sql(vector, repo, since, limit)).fetchall()
        else:
            identities, cosines = self._search(self._index, vector, repo, since, limit)
            found = list(zip(identities.tolist(), cosines.tolist(), strict=True))
        return [(identity, cosine) for identity, cosine in found if cosine >= threshold]

    def _search(
        self,
        index: VectorIndex,
        vector: list[float],
        repo: str | None,
        since: str,
        limit: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        import numpy as np

        is_allowed = self._at >= np.datetime64(since, "us").astype(np.int64)
        if repo is not None:
            is_allowed &= self._repo_codes == self._repos.get(repo, -1)
        allowed = self._identities[is_allowed]
        if not len(allowed):
            return allowed, np.empty(0, np.float32)
        return index.search(np.asarray(vector, np.float32), allowed, min(limit, len(allowed)))


def _exact_sql(vector: list[float], repo: str | None, since: str, limit: int) -> str:
    """Return the query that compares every vector that is allowed."""
    whose = "true" if repo is None else f"contents.repo = {literal(repo)}"
    return f"""
        select contents.vector_id, array_cosine_similarity(
            embeddings.embedding, cast('{vector}' as float[{DIMENSIONS}])
        ) as cosine
        from learning.embedded_contents as contents
        inner join learning.execution_embeddings as embeddings using (vector_id)
        where {whose} and contents.last_executed_at >= timestamp '{since}'
        order by cosine desc, contents.vector_id
        limit {limit}
    """


def executions_sql(
    columns: Iterable[str], found: list[tuple[int, float]], since: str, limit: int
) -> str:
    """Return the query for the executions of contents that were found, the most similar first."""
    return f"""
        with nearest as (
            select
                unnest(cast('{[identity for identity, _ in found]}' as bigint[])) as vector_id,
                unnest(cast('{[cosine for _, cosine in found]}' as double[])) as cosine
        ),

        chosen as (
            select unnest(contents.newest_rows) as row, nearest.cosine
            from nearest
            inner join learning.embedded_contents as contents using (vector_id)
        )

        select {", ".join(f"executions.{name}" for name in columns)}, chosen.cosine as similarity
        from learning.executions as executions
        inner join chosen on executions.rowid = chosen.row
        where executions.timestamp >= timestamp '{since}'
        order by similarity desc, executions.timestamp desc, executions.task_id
        limit {limit}
    """
