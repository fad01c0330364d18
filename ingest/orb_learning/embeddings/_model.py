"""Loading a model, by the fastest path that agrees with the reference."""

from __future__ import annotations

from importlib.util import find_spec

from orb_learning.embeddings._openvino import load_openvino
from orb_learning.embeddings._reference import Reference
from orb_learning.embeddings._source import EmbeddingModel, ModelSource, locate_model


def load_model(source: ModelSource | None = None) -> EmbeddingModel:
    """Load a model, by OpenVINO where that agrees with sentence-transformers, else by the latter.

    Raises:
        EmbeddingError: sentence-transformers is not installed, or cannot load the model.
    """
    source = source or locate_model()
    if source.directory is not None and find_spec("openvino") is not None:
        fast = load_openvino(source)
        if fast is not None:
            return fast
    return Reference(source)
