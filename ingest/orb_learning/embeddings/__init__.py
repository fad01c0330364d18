"""Embeddings of what was executed: made beside the refreshes, published with the next one."""

from orb_learning.embeddings._index import VectorIndex, can_index
from orb_learning.embeddings._model import load_model
from orb_learning.embeddings._publish import INDEX, SimilarityCompanion
from orb_learning.embeddings._run import EmbeddingReport, embed
from orb_learning.embeddings._source import EmbeddingModel, locate_model
from orb_learning.embeddings._vectors import DIMENSIONS, checked_question

__all__ = [
    "DIMENSIONS",
    "INDEX",
    "EmbeddingModel",
    "EmbeddingReport",
    "SimilarityCompanion",
    "VectorIndex",
    "can_index",
    "checked_question",
    "embed",
    "load_model",
    "locate_model",
]
