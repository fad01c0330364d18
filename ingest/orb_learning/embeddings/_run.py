"""An embedding run: what the current publication has and the store has not, the newest first."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orb_learning.embeddings._model import load_model
from orb_learning.embeddings._source import EmbeddingModel, locate_model
from orb_learning.embeddings._store import EmbeddingStore
from orb_learning.embeddings._vectors import checked
from orb_learning.errors import EmbeddingError, PermanentError
from orb_learning.home import Home
from orb_learning.publication import DATABASE, current

if TYPE_CHECKING:
    from collections.abc import Sequence

EMBEDDING_BATCH_LIMIT = 10_000

CHUNK = 512
"""Texts between two commits: what a kill can cost, and enough to sort by length."""


@dataclass(frozen=True, slots=True)
class EmbeddingReport:
    """What an embedding run did.

    Attributes:
        embedded: texts that got a vector.
        dropped: vectors of what is no longer published.
        remaining: texts that a later run is left with.
        indexed: vectors in the index; 0 where faiss is not installed.
    """

    embedded: int
    dropped: int
    remaining: int
    indexed: int


def embed(
    home: str | os.PathLike[str] | Home | None = None,
    *,
    embedding_batch_limit: int = EMBEDDING_BATCH_LIMIT,
    model: str | os.PathLike[str] | EmbeddingModel | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_share: Callable[[int, int], None] | None = None,
) -> EmbeddingReport:
    """Embed what was executed and has no vector yet; the next refresh publishes it.

    Each distinct content is embedded once. The model is loaded only if there is something to
    embed. Refreshes go on meanwhile.

    Args:
        home: the home directory; default $ORB_LEARNING_HOME, else ./data.
        embedding_batch_limit: at most so many texts; the newest first.
        model: a directory, a name on the hub, or a model of the host's own; default see
            `locate_model`.
        on_progress: called with the number of texts that were just embedded.
        on_share: called with how many texts are embedded, of how many that this run embeds.

    Raises:
        NotPublishedError: nothing is published yet.
        EmbeddingError: no model is installed, or its vectors cannot be stored.
        BusyError: another embedding run is at work.
    """
    if not (isinstance(embedding_batch_limit, int) and 0 <= embedding_batch_limit < 2**63):
        raise PermanentError("embedding_batch_limit: expected a whole number from 0 on")
    place = home if isinstance(home, Home) else Home.locate(home)
    database = place.published / current(place).id / DATABASE
    load: Callable[[], EmbeddingModel]
    if model is None or isinstance(model, str | os.PathLike):
        source = locate_model(model)
        identity = source.identity

        def load() -> EmbeddingModel:
            return load_model(source)
    else:
        given, identity = model, model.identity
        if not (isinstance(identity, str) and identity):
            raise EmbeddingError("the model's identity must be a text that is not empty")

        def load() -> EmbeddingModel:
            return given

    store = EmbeddingStore(place)
    with store.run():
        store.begin(identity)
        dropped = store.drop_vanished(database)
        missing, total = store.missing(database, embedding_batch_limit)
        if missing:
            _embed_all(store, load(), missing, on_progress, on_share)
        indexed = store.reindex()
    return EmbeddingReport(len(missing), dropped, total - len(missing), indexed)


def _embed_all(
    store: EmbeddingStore,
    model: EmbeddingModel,
    missing: Sequence[tuple[str, str]],
    on_progress: Callable[[int], None] | None,
    on_share: Callable[[int, int], None] | None,
) -> None:
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        vectors = model.embed([text for _, text in chunk])
        store.append([content_hash for content_hash, _ in chunk], checked(vectors, len(chunk)))
        if on_progress is not None:
            on_progress(len(chunk))
        if on_share is not None:
            on_share(start + len(chunk), len(missing))
