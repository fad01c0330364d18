"""A faiss index over vectors: all of them compared for few, near lists of them for many."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning._files import replacing
from orb_learning.embeddings._vectors import DIMENSIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLAT_UP_TO = 100_000
"""So many vectors are all compared, which takes less than 10 ms; more are put into lists."""

PROBES = 64
"""Lists that are searched when every vector may be found; more, the fewer may be."""

TRAINING = 40
"""Vectors a list that the lists' centres are learned from."""


def can_index() -> bool:
    """Return whether faiss is installed."""
    return find_spec("faiss") is not None


def build_index(identities: NDArray[np.int64], vectors: Any, path: Path) -> None:
    """Write an index; components are kept as 16-bit floats.

    Args:
        identities: one a vector.
        vectors: as many rows of 384 floats, normalised.
        path: the file to make; it appears whole or not at all.
    """
    import faiss
    import numpy as np

    count = len(identities)
    matrix = np.empty((count, DIMENSIONS), np.float32)
    for number, vector in enumerate(vectors):
        matrix[number] = vector
    half = faiss.ScalarQuantizer.QT_fp16
    product = faiss.METRIC_INNER_PRODUCT
    if count <= FLAT_UP_TO:
        index = faiss.IndexIDMap(faiss.IndexScalarQuantizer(DIMENSIONS, half, product))
    else:
        lists = int(2 * math.sqrt(count))
        centres = faiss.IndexFlatIP(DIMENSIONS)
        index = faiss.IndexIVFScalarQuantizer(centres, DIMENSIONS, lists, half, product, False)
        sample = min(count, TRAINING * lists)
        chosen = np.random.default_rng(0).choice(count, sample, replace=False)
        index.train(matrix[np.sort(chosen)])
    index.add_with_ids(matrix, identities)
    with replacing(path) as fresh:
        faiss.write_index(index, str(fresh))


class VectorIndex:
    """An index that was written, read in place: processes share its pages."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            RuntimeError: it is no index of faiss.
        """
        import faiss

        self._faiss = faiss
        self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        self._lists = getattr(self._index, "nlist", 0)

    def search(
        self, vector: NDArray[np.float32], allowed: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the nearest of the allowed vectors, the nearest first.

        Args:
            vector: 384 floats, normalised.
            allowed: identities that may be found, sorted.
            limit: at most so many.

        Returns:
            identities and cosines.
        """
        import numpy as np

        bits = np.zeros(int(allowed[-1]) + 1, np.uint8)
        bits[allowed] = 1
        packed = np.packbits(bits, bitorder="little")
        selector = self._faiss.IDSelectorBitmap(packed)
        if self._lists:
            # The fewer may be found, the more lists hold them; below a share, all are searched.
            share = len(allowed) / self._index.ntotal
            probes = min(self._lists, math.ceil(PROBES / share))
            parameters = self._faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        else:
            parameters = self._faiss.SearchParameters(sel=selector)
        cosines, found = self._index.search(vector.reshape(1, -1), limit, params=parameters)
        is_found = found[0] >= 0
        return found[0][is_found], np.clip(cosines[0][is_found], -1, 1)
