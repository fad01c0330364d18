"""The index finds what comparing every vector finds, among those that are allowed."""

from __future__ import annotations

import numpy as np
import pytest

from orb_learning.embeddings import VectorIndex, _index
from orb_learning.embeddings._index import build_index

COUNT = 4000


@pytest.fixture(scope="module")
def vectors():
    """Clusters, as texts of like tasks make them."""
    numbers = np.random.default_rng(1)
    centres = numbers.standard_normal((100, 384))
    members = centres[numbers.integers(0, 100, COUNT)] + 0.7 * numbers.standard_normal((COUNT, 384))
    return (members / np.linalg.norm(members, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", params=["flat", "lists"])
def index(request, vectors, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "lists":
            patch.setattr(_index, "FLAT_UP_TO", 100)
        build_index(np.arange(COUNT) * 3 + 7, list(vectors), path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return VectorIndex(path)


@pytest.mark.parametrize("share", [1, 0.3, 0.01])
def test_nearly_all_of_the_ten_nearest_are_found(index, vectors, share):
    numbers = np.random.default_rng(2)
    allowed = np.flatnonzero(numbers.random(COUNT) < share)
    hits = []
    for question in numbers.choice(COUNT, 100):
        exact = vectors[allowed] @ vectors[question]
        nearest = allowed[np.argsort(-exact)[:10]]
        found, cosines = index.search(vectors[question], allowed * 3 + 7, 10)
        hits.append(len(set(found.tolist()) & set((nearest * 3 + 7).tolist())) / len(nearest))
        assert set(found.tolist()) <= set((allowed * 3 + 7).tolist())
        assert (np.diff(cosines) <= 0).all()
        assert np.abs(cosines - np.sort(exact)[::-1][:10]).max() < 1e-3
    assert np.mean(hits) >= 0.99


def test_fewer_are_found_where_fewer_are_allowed(index, vectors):
    found, cosines = index.search(vectors[0], np.array([7, 10]), 10)
    assert sorted(found.tolist()) == [7, 10]
    assert len(cosines) == 2


def test_what_is_no_index_is_an_error(tmp_path):
    path = tmp_path / "index.faiss"
    path.write_bytes(b"no index" * 100)
    with pytest.raises(RuntimeError):
        VectorIndex(path)
