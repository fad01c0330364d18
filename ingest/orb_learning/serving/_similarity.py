"""Finding past executions that resemble a task, within one publication."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning.embeddings._index import VectorIndex, can_index
from orb_learning.embeddings._publish import INDEX
from orb_learning.embeddings._vectors import DIMENSIONS

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    from orb_learning.publication import Publication

_EXACT = f"""
select contents.vector_id, array_cosine_similarity(
    embeddings.embedding, cast($vector as float[{DIMENSIONS}])
) as cosine
from embedded_contents as contents
inner join execution_embeddings as embeddings using (vector_id)
where ($repo is null or contents.repo = $repo) and contents.last_executed_at >= $since
order by cosine desc, contents.vector_id
limit $limit
"""

_CONTENTS = "select vector_id, repo, epoch_us(last_executed_at) as at from embedded_contents"

_ROWS = """
with nearest as (
    select
        unnest(cast($found as bigint[])) as vector_id,
        unnest(cast($cosines as double[])) as cosine
),

chosen as (
    select unnest(contents.newest_rows) as row, nearest.cosine
    from nearest
    inner join embedded_contents as contents using (vector_id)
)

select {columns}, chosen.cosine as similarity
from executions
inner join chosen on executions.rowid = chosen.row
where executions.timestamp >= $since
order by similarity desc, executions.timestamp desc, executions.task_id
limit $limit
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

            self._index = VectorIndex(folder / INDEX)
            # In memory, 20 bytes a content: which of them a question allows.
            columns = cursor.execute(f"{_CONTENTS} order by vector_id").fetchnumpy()
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
        vector: NDArray[np.float32],
        *,
        repo: str | None,
        since: str,
        limit: int,
        threshold: float,
    ) -> dict[str, str]:
        """Return the contents that resemble a vector most, as parameters of `executions_sql`.

        The parameters are lists as texts: DuckDB takes a tenth of a millisecond to look at each
        item of a list.

        Args:
            cursor: of the same publication.
            vector: 384 floats, normalised.
            repo: only this repository; None for all.
            since: only what was executed at or after this day, ISO 8601.
            limit: at most so many.
            threshold: the least cosine.
        """
        if self._index is None:
            rows = cursor.execute(
                _EXACT,
                {
                    "vector": json.dumps(vector.tolist()),
                    "repo": repo,
                    "since": since,
                    "limit": limit,
                },
            ).fetchall()
            found, cosines = [row[0] for row in rows], [row[1] for row in rows]
        else:
            identities, scores = self._search(self._index, vector, repo, since, limit)
            found, cosines = identities.tolist(), scores.tolist()
        kept = sum(cosine >= threshold for cosine in cosines)
        return {"found": json.dumps(found[:kept]), "cosines": json.dumps(cosines[:kept])}

    def _search(
        self,
        index: VectorIndex,
        vector: NDArray[np.float32],
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
        return index.search(vector, allowed, min(limit, len(allowed)))


def executions_sql(columns: tuple[str, ...]) -> str:
    """Return the query for the executions of contents that were found."""
    return _ROWS.format(columns=", ".join(f"executions.{name}" for name in columns))
