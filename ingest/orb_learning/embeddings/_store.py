"""Where vectors are kept between runs: one DuckDB file, one index over it, one note of both.

<home>/embeddings/vectors.duckdb   content_hash, embedding, vector_id
<home>/embeddings/index-*.faiss    an index over the vectors, replaced whole
<home>/embeddings/store.json       whose vectors these are, and which index is in force

Only an embedding run writes here. A publication copies what it finds, under a lock that a run holds
for the moment of a commit and not while a model is at work. All of it can be deleted: the next run
makes it again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning._database import connect, in_memory, literal
from orb_learning._event_fields import CONTENT_FIELDS
from orb_learning._files import replacing
from orb_learning._locks import FileLock
from orb_learning._spill import own_spill
from orb_learning.embeddings._vectors import DECIMALS, DIMENSIONS
from orb_learning.errors import BusyError, HomeError
from orb_learning.home import Home, make_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMMIT_TIMEOUT_SECONDS = 60.0

CONTENT = "concat_ws(' | ', {})".format(
    ", ".join(f"'{label}: ' || cast({name} as varchar)" for label, name in CONTENT_FIELDS.items())
)
"""The text that stands for a row of `executions`; its md5 is the row's `content_hash`."""

TABLE = f"""create table if not exists execution_embeddings (
    content_hash varchar not null,
    embedding float[{DIMENSIONS}] not null,
    vector_id bigint not null
)"""


@dataclass(frozen=True, slots=True)
class StoreState:
    """What `store.json` says.

    Attributes:
        model: identity of the model whose vectors these are; empty before the first run.
        index: file name of the index in force, if there is one.
        indexed_to: the largest `vector_id` in the index.
    """

    model: str = ""
    index: str | None = None
    indexed_to: int = 0


class EmbeddingStore:
    """The vectors of one home."""

    def __init__(self, home: Home) -> None:
        """Touch nothing on disk yet."""
        self.home = home
        self.folder = home.embeddings
        self.vectors = self.folder / "vectors.duckdb"
        self._note = self.folder / "store.json"

    def state(self) -> StoreState:
        """Return what is kept; of a note that cannot be read, nothing."""
        try:
            return StoreState(**json.loads(self._note.read_text()))
        except (OSError, ValueError, TypeError):
            return StoreState()

    @contextmanager
    def run(self) -> Iterator[None]:
        """Be the only embedding run of this home.

        Raises:
            BusyError: another one is at work.
            HomeError: the folder cannot be made.
        """
        try:
            make_root(self.home.root)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HomeError(f"cannot use {self.folder}: {error.strerror}") from error
        with _held(self.folder / "run.lock", 0, "another embedding run is at work; let it finish"):
            yield

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Keep publications from copying while files change.

        Raises:
            BusyError: the lock stayed taken for a minute.
        """
        why = f"{self.folder} stayed locked for {COMMIT_TIMEOUT_SECONDS:g} s; try again"
        with _held(self.folder / "store.lock", COMMIT_TIMEOUT_SECONDS, why):
            yield

    def begin(self, model: str) -> None:
        """Make the store ready for a model's vectors; those of another model are dropped."""
        shutil.rmtree(own_spill(self.vectors), ignore_errors=True)
        for left in self.folder.glob("vectors.duckdb-*"):  # of a run that was killed
            left.unlink()
        if self.state().model == model and self.vectors.exists():
            return
        with self.committing():
            # First the vectors, then the note: it never names a model that they are not of.
            for left in self.folder.glob("vectors.duckdb*"):
                left.unlink()
            self._forget_index()
            self._keep_note(StoreState(model=model))
            with connect(self.vectors, self.home) as connection:
                connection.execute(TABLE)

    def drop_vanished(self, database: Path) -> int:
        """Drop the vectors of what a publication no longer has, and every trace of them.

        Args:
            database: the publication's database.

        Returns:
            how many were dropped.
        """
        with self._beside(database) as connection:
            ((vanished,),) = connection.execute(
                "select count(*) from store.execution_embeddings where content_hash not in"
                " (select content_hash from publication.executions)"
            ).fetchall()
            if not vanished:
                return 0
            # A new file: rows that are only deleted stay in the old one.
            fresh = self.folder / f"vectors.duckdb-{secrets.token_hex(4)}"
            with connect(fresh, self.home) as made:
                made.execute(TABLE)
            connection.execute(f"attach {literal(fresh)} as fresh (read_write)")
            connection.execute(
                "insert into fresh.execution_embeddings from store.execution_embeddings"
                " where content_hash in (select content_hash from publication.executions)"
            )
            connection.execute("detach fresh")
        with self.committing():
            self._forget_index()
            self.vectors.with_name(f"{self.vectors.name}.wal").unlink(missing_ok=True)
            fresh.replace(self.vectors)
        return int(vanished)

    def missing(self, database: Path, limit: int) -> tuple[list[tuple[str, str]], int]:
        """Return what a publication has and this store has not, the newest first.

        Args:
            database: the publication's database.
            limit: at most so many.

        Returns:
            pairs of content hash and text, and how many are missing in all.
        """
        with self._beside(database) as connection:
            connection.execute(
                """
                create temp table missing as
                select content_hash, max(timestamp) as newest, min(rowid) as row
                from publication.executions
                where content_hash not in (select content_hash from store.execution_embeddings)
                group by content_hash
                """
            )
            ((total,),) = connection.execute("select count(*) from missing").fetchall()
            found = connection.execute(
                f"""
                with chosen as (from missing order by newest desc, content_hash limit ?)
                select chosen.content_hash, {CONTENT}
                from chosen
                inner join publication.executions as executions on executions.rowid = chosen.row
                order by chosen.newest desc, chosen.content_hash
                """,
                [limit],
            ).fetchall()
        return found, int(total)

    def append(self, hashes: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep vectors, all of them or none.

        Args:
            hashes: content hashes that are not kept yet.
            vectors: shape (number of hashes, 384), normalised.
        """
        import numpy as np

        rows = np.round(vectors.astype(np.float64), DECIMALS).tolist()
        with self.committing(), connect(self.vectors, self.home) as connection:
            connection.execute(
                f"""
                insert into execution_embeddings
                select hash, vector, last + number
                from (
                    select
                        unnest(cast($hashes as varchar[])) as hash,
                        unnest(cast($vectors as float[{DIMENSIONS}][])) as vector,
                        unnest(range(1, cast($count as bigint) + 1)) as number
                ) as added
                cross join (
                    select coalesce(max(vector_id), 0) as last from execution_embeddings
                ) as kept
                """,
                # Texts: DuckDB takes a tenth of a millisecond to look at each number of a list.
                {
                    "hashes": json.dumps(list(hashes)),
                    "vectors": json.dumps(rows),
                    "count": len(rows),
                },
            )

    def reindex(self) -> int:
        """Bring the index up to date with the vectors.

        Returns:
            how many vectors the index in force holds; 0 where faiss is not installed.
        """
        from orb_learning.embeddings._index import build_index, can_index

        if not can_index():
            return 0
        with connect(self.vectors, self.home, read_only=True) as connection:
            ((count, newest),) = connection.execute(
                "select count(*), coalesce(max(vector_id), 0) from execution_embeddings"
            ).fetchall()
            state = self.state()
            if not count or (state.index and state.indexed_to == newest):
                return int(count)
            found = connection.execute(
                "select vector_id, embedding from execution_embeddings order by vector_id"
            ).fetchnumpy()
        name = f"index-{secrets.token_hex(4)}.faiss"
        build_index(found["vector_id"], found["embedding"], self.folder / name)
        with self.committing():
            self._keep_note(StoreState(state.model, name, int(newest)))
            for left in self.folder.glob("index-*.faiss"):
                if left.name != name:
                    left.unlink()
        return int(count)

    def copy_into(self, database: Path, index: Path) -> StoreState:
        """Copy the vectors and their index into a publication that is being made.

        Args:
            database: a file to make, with the table `execution_embeddings` and nothing else.
            index: a file to make; it is left out if there is no index.

        Returns:
            what was copied; without a model if there are no vectors.
        """
        if not self.vectors.exists():
            return StoreState()
        with self.committing():
            state = self.state()
            shutil.copyfile(self.vectors, database)
            if state.index:
                try:
                    os.link(self.folder / state.index, index)  # never rewritten, only replaced
                except OSError:
                    shutil.copyfile(self.folder / state.index, index)
        return state

    @contextmanager
    def _beside(self, database: Path) -> Iterator[Any]:
        """Connect to this store and to a publication, reading both."""
        import duckdb

        with in_memory(self.home) as connection:
            try:
                connection.execute(f"attach {literal(database)} as publication (read_only)")
                connection.execute(f"attach {literal(self.vectors)} as store (read_only)")
            except duckdb.Error as error:
                reason = str(error).partition("\n")[0]
                raise HomeError(f"cannot read the vectors in {self.folder}: {reason}") from error
            yield connection

    def _forget_index(self) -> None:
        state = self.state()
        self._keep_note(StoreState(state.model))
        for left in self.folder.glob("index-*.faiss"):
            left.unlink()

    def _keep_note(self, state: StoreState) -> None:
        with replacing(self._note) as fresh:
            fresh.write_text(json.dumps(asdict(state)) + "\n")


@contextmanager
def _held(path: Path, timeout_seconds: float, otherwise: str) -> Iterator[None]:
    lock = FileLock(path)
    if not lock.acquire(timeout_seconds):
        raise BusyError(otherwise)
    try:
        yield
    finally:
        lock.release()
