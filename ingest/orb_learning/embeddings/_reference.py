"""The model as sentence-transformers runs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orb_learning.embeddings._source import INSTALL, ModelSource
from orb_learning.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Reference:
    """The model as sentence-transformers runs it."""

    def __init__(self, source: ModelSource) -> None:
        """Load it; takes seconds."""
        if find_spec("sentence_transformers") is None:
            raise EmbeddingError(f"sentence-transformers is not installed; run: {INSTALL}")
        from sentence_transformers import SentenceTransformer

        self.identity = source.identity
        try:
            self.transformer = SentenceTransformer(
                source.name, device="cpu", local_files_only=source.directory is not None
            )
        except Exception as error:  # the library, the hub's client and torch raise all kinds
            reason = " ".join(str(error).split())[:300]
            raise EmbeddingError(f"cannot load the model {source.name}: {reason}") from error

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one normalised vector a text: shape (number of texts, 384)."""
        vectors: NDArray[np.float32] = self.transformer.encode(
            list(texts),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return vectors
