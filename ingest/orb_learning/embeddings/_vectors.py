"""What a vector must be before it is stored or searched for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orb_learning._types import EMBEDDING_DIMENSIONS
from orb_learning.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSIONS = EMBEDDING_DIMENSIONS

DECIMALS = 5
"""Digits of each component that are stored.

DuckDB then keeps a component in 17 bits instead of 32 and reads it twice as fast; what is lost
moves a cosine by less than 1e-6.
"""


def checked(
    vectors: NDArray[np.float32] | Sequence[Sequence[float]], count: int
) -> NDArray[np.float32]:
    """Return vectors as they may be stored: normalised, `count` rows of 384 float32.

    Raises:
        EmbeddingError: the shape is another, or a vector has a NaN, an infinity, or no direction;
            or numpy is not installed.
    """
    try:
        import numpy as np
    except ImportError as error:
        raise EmbeddingError(
            "vectors are stored with numpy; run: pip install 'orb-learning[embeddings]'"
        ) from error

    try:
        rows = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise EmbeddingError(f"the model returned no matrix of numbers: {error}") from error
    if rows.shape != (count, DIMENSIONS):
        raise EmbeddingError(
            f"the model returned vectors of shape {rows.shape} for {count} texts; "
            f"{(count, DIMENSIONS)} is what can be stored"
        )
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    broken = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(broken):
        raise EmbeddingError(
            f"the model returned {len(broken)} of {count} vectors with zeros only, NaN or "
            "infinity; none of them was stored"
        )
    normalised: NDArray[np.float32] = (rows / lengths).astype(np.float32)
    return normalised


def checked_question(vectors: NDArray[np.float32] | Sequence[Sequence[float]]) -> list[float]:
    """Return the only vector of a model's answer, normalised: 384 floats. Needs no numpy.

    Raises:
        EmbeddingError: it is none that can be compared.
    """
    try:
        (vector,) = ([float(component) for component in row] for row in vectors)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbeddingError(f"the model returned no vector of numbers: {error}") from error
    length = math.hypot(*vector)
    if len(vector) != DIMENSIONS or not (math.isfinite(length) and length > 0):
        raise EmbeddingError(
            f"the model returned {len(vector)} numbers of length {length:g}; "
            f"{DIMENSIONS} that have a direction can be compared"
        )
    return [component / length for component in vector]
