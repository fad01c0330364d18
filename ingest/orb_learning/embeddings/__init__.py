"""Embeddings of what was executed: made beside the refreshes, published with the next one."""

from orb_learning.embeddings._model import EmbeddingModel, load_model
from orb_learning.embeddings._run import EmbeddingReport, embed
from orb_learning.embeddings._vectors import DIMENSIONS

__all__ = ["DIMENSIONS", "EmbeddingModel", "EmbeddingReport", "embed", "load_model"]
