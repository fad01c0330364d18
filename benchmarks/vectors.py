"""The tables of `serving.py` that are about vectors: finding the nearest, making them, their size.

The vectors are synthetic, so that a million of them takes seconds: 3,000 centres with a common
part, and members at varied distances from them. Of 100,000 of them any two have a cosine of about
0.3, and the ten nearest of a question cosines from 0.67 to 0.91.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from history import Wanted, some_repo
from report import (
    CALLS,
    PATIENT,
    WARM_UP,
    alone,
    megabytes,
    milliseconds,
    percentile,
    seeded,
    table,
    timed,
)

from orb_learning.embeddings import DIMENSIONS
from orb_learning.embeddings._vectors import DECIMALS
from orb_learning.home import Home

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

CENTRES = 3000
CHUNK = 50_000
QUERIES = 200
NEAREST = 10
SHARE = 0.02
IDENTITY = "synthetic"


def clustered(count: int, seed: int) -> Iterator[Vectors]:
    """Return unit vectors around the same centres for every seed, some thousand at a time."""
    import numpy as np

    def directions(chance: np.random.Generator, *shape: int) -> Vectors:
        rows = chance.standard_normal((*shape, DIMENSIONS), np.float32)
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    chance = np.random.default_rng(3)
    centres = directions(chance, CENTRES) + 0.8 * directions(chance)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    chance = np.random.default_rng([3, seed])
    for start in range(0, count, CHUNK):
        rows = min(CHUNK, count - start)
        away = chance.uniform(0.3, 0.9, (rows, 1)).astype(np.float32)
        members = centres[chance.integers(0, CENTRES, rows)] + away * directions(chance, rows)
        yield members / np.linalg.norm(members, axis=1, keepdims=True)


def queries() -> Vectors:
    """Return vectors that are like the others and none of them."""
    (rows,) = clustered(QUERIES, seed=1)
    return rows


def insert(connection: Any, target: str, columns: dict[str, Any], rows: Vectors) -> None:
    """Insert vectors, rounded as the package does, and what stands beside them."""
    import numpy as np
    import pyarrow as pa

    flat = np.round(rows.astype(np.float64), DECIMALS).astype(np.float32).reshape(-1)
    embedding = pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS)
    connection.register("added", pa.table({**columns, "embedding": embedding}))
    connection.execute(f"insert into {target} by name from added")
    connection.unregister("added")


class Contender:
    """A way to find the nearest vectors.

    Attributes:
        name: as in the table.
        share: of the vectors that may be found.
    """

    name: ClassVar[str]
    share: ClassVar[float] = 1.0

    def __init__(self, folder: Path, count: int) -> None:
        """Know where `matrix.npy` is, and its rows; load nothing."""
        self.folder = folder
        self.count = count

    def matrix(self) -> Any:
        import numpy as np

        return np.load(self.folder / "matrix.npy", mmap_mode="r")

    def files(self) -> list[Path]:
        """Return what it keeps on disk."""
        raise NotImplementedError

    def build(self) -> None:
        """Make the files, `matrix.npy` excepted."""

    def open(self) -> Callable[[Vectors], Any]:
        """Return what finds the row numbers of the nearest of a vector."""
        raise NotImplementedError


class DuckDb(Contender):
    name = "DuckDB, every vector compared (base install)"

    def files(self) -> list[Path]:
        return [self.folder / "vectors.duckdb"]

    def build(self) -> None:
        import duckdb
        import numpy as np

        matrix = self.matrix()
        with duckdb.connect(str(self.files()[0])) as connection:
            connection.execute(f"create table vectors (id bigint, embedding float[{DIMENSIONS}])")
            for start in range(0, self.count, CHUNK):
                rows = np.asarray(matrix[start : start + CHUNK])
                insert(connection, "vectors", {"id": np.arange(start, start + len(rows))}, rows)

    def open(self) -> Callable[[Vectors], Any]:
        import duckdb

        connection = duckdb.connect(
            str(self.files()[0]), read_only=True, config={"threads": "2", "memory_limit": "1GB"}
        )
        sql = f"""
            select id from vectors
            order by array_cosine_similarity(embedding, cast(? as float[{DIMENSIONS}])) desc, id
            limit {NEAREST}
        """

        def search(vector: Vectors) -> list[int]:
            found = connection.execute(sql, [json.dumps(vector.tolist())]).fetchall()
            return [row[0] for row in found]

        return search


class Shipped(Contender):
    name = "orb-learning's index"

    def files(self) -> list[Path]:
        return [self.folder / "shipped.faiss"]

    def build(self) -> None:
        import numpy as np

        from orb_learning.embeddings._index import build_index

        build_index(np.arange(self.count), self.matrix(), self.files()[0])

    def open(self) -> Callable[[Vectors], Any]:
        from orb_learning.embeddings import VectorIndex

        index, allowed = VectorIndex(self.files()[0]), allowed_rows(self.count, self.share)
        return lambda vector: index.search(vector, allowed, NEAREST)[0]


class ShippedFew(Shipped):
    name = f"orb-learning's index, {SHARE:.0%} of the vectors allowed"
    share = SHARE

    def build(self) -> None:
        pass  # the same index


CONTENDERS = (DuckDb, Shipped, ShippedFew)


def allowed_rows(count: int, share: float) -> Any:
    """Return the row numbers that may be found, sorted."""
    import numpy as np

    if share == 1:
        return np.arange(count)
    chosen = np.random.default_rng(5).choice(count, max(NEAREST, int(count * share)), replace=False)
    return np.sort(chosen)


def write_matrix(folder: Path, count: int) -> dict[float, list[list[int]]]:
    """Write `matrix.npy`; return the row numbers of the nearest of each query, by share allowed."""
    import numpy as np

    matrix = np.lib.format.open_memmap(
        folder / "matrix.npy", "w+", np.dtype(np.float32), (count, DIMENSIONS)
    )
    wanted, scores, start = queries(), np.empty((QUERIES, count), np.float32), 0
    for rows in clustered(count, seed=0):
        matrix[start : start + len(rows)] = rows
        scores[:, start : start + len(rows)] = wanted @ rows.T
        start += len(rows)
    matrix.flush()
    truth = {}
    for share in (1.0, SHARE):
        allowed = allowed_rows(count, share)
        best = [np.argpartition(-row[allowed], NEAREST - 1)[:NEAREST] for row in scores]
        truth[share] = [allowed[one].tolist() for one in best]
    return truth


def built(contender: Contender) -> float:
    """Build a contender's files; return the seconds it took."""
    begin = time.perf_counter()
    contender.build()
    return time.perf_counter() - begin


def resident() -> dict[str, int]:
    """Return the bytes of this process in memory: its own, and pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile")}


def searched(
    contender: Contender, truth: list[list[int]]
) -> tuple[list[float], float, dict[str, int]]:
    """Return seconds of each search, the share of true neighbours found, the memory it took."""
    wanted = queries()
    before = resident()
    search = contender.open()
    for vector in wanted[:WARM_UP]:
        search(vector)
    times, hits = [], 0
    for vector, true in zip(wanted, truth, strict=True):
        begin = time.perf_counter()
        found = search(vector)
        times.append(time.perf_counter() - begin)
        hits += len({int(one) for one in found} & set(true))
    after = resident()
    return times, hits / (QUERIES * NEAREST), {name: after[name] - before[name] for name in after}


def installed_size(*names: str) -> int:
    """Return the bytes that installed packages take, without what they depend on."""
    sizes = 0
    for name in names:
        for file in distribution(name).files or ():
            path = Path(str(file.locate()))
            sizes += path.stat().st_size if path.is_file() else 0
    return sizes


def nearest(wanted: Wanted) -> list[str]:
    """Each way to find the nearest vectors: how exact, how fast, how large."""
    rows = []
    for count in wanted.at_most(100_000, 1_000_000):
        folder = wanted.folder / f"vectors-{count}"
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        truth = alone(write_matrix, folder, count)
        for cls in CONTENDERS:
            contender = cls(folder, count)
            seconds = alone(built, contender)
            times, recall, memory = alone(searched, contender, truth[cls.share])
            rows.append(
                [
                    f"{count:,}: {cls.name}",
                    f"{recall:.3f}",
                    *milliseconds(times),
                    f"{seconds:,.1f}" if "build" in vars(cls) and cls is not ShippedFew else "",
                    megabytes(sum(file.stat().st_size for file in contender.files())),
                    megabytes(memory["RssAnon"]),
                    megabytes(memory["RssFile"]),
                ]
            )
        for left in folder.iterdir():
            left.unlink()
    return [
        f"The nearest {NEAREST} of synthetic vectors, {QUERIES} queries. Recall is against exact"
        " float32. Memory is what the process grew by, its libraries included: its own, and pages"
        " of files, which processes share and the system can take back.",
        "",
        *table(
            ["", "recall", "p50 ms", "p95 ms", "build s", "on disk", "own memory", "file pages"],
            rows,
        ),
        "",
        f"Installed, faiss-cpu takes {megabytes(installed_size('faiss-cpu'))} and numpy"
        f" {megabytes(installed_size('numpy'))}.",
    ]


class Synthetic:
    """In place of a model: vectors like the others, at no cost."""

    identity = IDENTITY

    def __init__(self) -> None:
        """Make them beforehand."""
        self._rows = queries()
        self._turn = 0

    def embed(self, texts: Any) -> Vectors:
        self._turn += len(texts)
        return self._rows[
            [number % QUERIES for number in range(self._turn, self._turn + len(texts))]
        ]


def fill_store(root: Path) -> None:
    """Give each content of a history a synthetic vector, as an embedding run would."""
    import duckdb
    import numpy as np

    from orb_learning.embeddings._store import EmbeddingStore
    from orb_learning.publication import DATABASE

    home = Home(root)
    store = EmbeddingStore(home)
    with duckdb.connect(str(home.current / DATABASE), read_only=True) as published:
        hashes = published.execute(
            "select content_hash from executions group by content_hash order by content_hash"
        ).fetchnumpy()["content_hash"]
    with store.run():
        store.begin(IDENTITY)
        with duckdb.connect(str(store.vectors)) as connection:
            start = 0
            for rows in clustered(len(hashes), seed=0):
                end = start + len(rows)
                columns = {
                    "content_hash": hashes[start:end],
                    "vector_id": np.arange(start + 1, end + 1),
                }
                insert(connection, "execution_embeddings", columns, rows)
                start = end
        store.reindex()


def measured_search(root: Path, is_hidden: bool) -> tuple[float, list[tuple[list[float], float]]]:
    """Return the seconds of the first search, and for each filter seconds and rows of the calls."""
    from orb_learning.serving import LearningDatabase

    if is_hidden:
        sys.modules["faiss"] = None  # type: ignore[assignment]  # as if it were not installed

    async def work() -> tuple[float, list[tuple[list[float], float]]]:
        async with LearningDatabase(
            root, timeout_seconds=PATIENT, embedding_model=Synthetic()
        ) as learning:
            find = partial(learning.find_similar_executions, threshold=-1)
            begin = time.perf_counter()
            await find("split the parser")
            first = time.perf_counter() - begin
            return first, [
                await timed(lambda chance: find("split the parser")),
                await timed(lambda chance: find("split the parser", repo=some_repo(chance))),
                await timed(lambda chance: find("split the parser", days_back=7)),
            ]

    return asyncio.run(work())


def prepare_model() -> None:
    """Have the shipped model converted, which only a machine's first use of it does."""
    from orb_learning.embeddings import load_model

    load_model()


def measured_question() -> list[float]:
    """Return how many seconds the shipped model took for each question."""
    from orb_learning.embeddings import load_model

    model, chance, times = load_model(), seeded(3), []
    for number in range(WARM_UP + CALLS):
        text = f"type: bug_fix | task: fix the parser of case {chance.random()} | repo: acme/api"
        begin = time.perf_counter()
        model.embed([f"{text} | tier: small | pool: solo | success: true"])
        if number >= WARM_UP:
            times.append(time.perf_counter() - begin)
    return times


def search(wanted: Wanted) -> list[str]:
    """`find_similar_executions`, from the vector of a question to typed rows."""
    rows = []
    for count in wanted.at_most(100_000, 1_000_000):
        root = wanted.history(count, count, fill=fill_store)
        for is_hidden in (False, True) if count == min(wanted.at_most(100_000)) else (False,):
            first, measured = alone(measured_search, root, is_hidden)
            for filters, (times, found) in zip(
                ("none", "one repository", "7 days"), measured, strict=True
            ):
                rows.append(
                    [
                        f"{count:,} contents, {'base install' if is_hidden else 'faiss'}",
                        filters,
                        *milliseconds(times),
                        f"{found:,.0f}",
                        f"{first * 1000:,.0f}",
                    ]
                )
    alone(prepare_model)
    p50, p95 = milliseconds(alone(measured_question))
    return [
        f"`find_similar_executions`, limit 10, any similarity, {CALLS} calls each. The question's"
        " vector is given: to make it by the shipped model takes another"
        f" {p50} ms (p95 {p95} ms).",
        "",
        *table(["ms a call", "filter", "p50", "p95", "rows", "the first call"], rows),
    ]


PATHS = ("sentence-transformers, its defaults", "reference", "OpenVINO f32", "OpenVINO bf16")


def some_texts(root: Path) -> list[str]:
    """Return 512 texts as the package embeds them."""
    import duckdb

    from orb_learning.embeddings._store import CONTENT
    from orb_learning.publication import DATABASE

    with duckdb.connect(str(Home(root).current / DATABASE), read_only=True) as published:
        rows = published.execute(
            f"select {CONTENT} as text from executions group by text order by md5(text) limit 512"
        ).fetchall()
    return [row[0] for row in rows]


def embedded(path: str, texts: list[str], cache: Path) -> tuple[float, Vectors]:
    """Return how many texts a second a path embeds, and the vectors."""
    from orb_learning.embeddings import locate_model
    from orb_learning.embeddings._openvino import OpenVino, load_openvino
    from orb_learning.embeddings._reference import Reference

    source = locate_model()
    embed: Callable[[list[str]], Any]
    if path == PATHS[0]:
        from sentence_transformers import SentenceTransformer

        embed = SentenceTransformer(source.name, device="cpu").encode
    elif path == PATHS[1]:
        embed = Reference(source).embed
    else:
        load_openvino(source, cache)
        (folder,) = cache.iterdir()
        embed = OpenVino(source, folder, path.rpartition(" ")[2]).embed
    embed(texts[:64])
    begin = time.perf_counter()
    vectors = embed(texts)
    return len(texts) / (time.perf_counter() - begin), vectors


def least_cosine(ours: Vectors, theirs: Vectors) -> float:
    """Return the cosine of the pair of vectors that differ most."""
    import numpy as np

    one, other = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


def embedding(wanted: Wanted) -> list[str]:
    """Texts a second of each path from texts to vectors."""
    size = min(wanted.sizes)
    texts = some_texts(wanted.history(size, max(1, size // 5)))
    cache = wanted.folder / "openvino"
    alone(embedded, PATHS[2], texts[:64], cache)  # the conversion, kept for the rounds
    rates: dict[str, list[float]] = {path: [] for path in PATHS}
    vectors: dict[str, Vectors] = {}
    for _ in range(3):
        for path in PATHS:
            rate, vectors[path] = alone(embedded, path, texts, cache)
            rates[path].append(rate)
    flags = Path("/proc/cpuinfo").read_text().split()
    known = (
        f"{flag} {'yes' if flag in flags else 'no'}"
        for flag in ("avx512_bf16", "amx_bf16", "avx512_vnni")
    )
    return [
        f"{len(texts)} texts of executions, {statistics.mean(map(len, texts)):.0f} characters on"
        " average, in turns, 3 rounds, each in a fresh process that has embedded 64 before. Of the"
        f" processor: {', '.join(known)}.",
        "",
        *table(
            ["texts/s", "best", "median", "least cosine with the reference"],
            [
                [
                    path,
                    f"{max(rates[path]):,.0f}",
                    f"{percentile(rates[path], 0.5):,.0f}",
                    f"{least_cosine(vectors[path], vectors['reference']):.6f}",
                ]
                for path in PATHS
            ],
        ),
    ]


def size(wanted: Wanted) -> list[str]:
    """What a publication takes on disk, with the optional indexes and without."""
    (executions,) = wanted.at_most(1_000_000)
    texts = max(1, executions // 5)
    rows = []
    for is_indexed in (False, True):
        root = wanted.history(executions, texts, indexes=is_indexed, fill=fill_store)
        folder = Home(root).current
        rows.append(
            [
                f"indexes {'on' if is_indexed else 'off'}",
                *(
                    megabytes((folder / name).stat().st_size)
                    for name in ("learning.db", "similarity.faiss")
                ),
            ]
        )
    return [
        f"{executions:,} executions of {texts:,} different contents, all with vectors.",
        "",
        *table(["", "learning.db", "similarity.faiss"], rows),
    ]
