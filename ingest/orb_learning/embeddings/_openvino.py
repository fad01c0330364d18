"""The same model by OpenVINO: no torch to load, and faster; used only where it agrees.

The first use converts the model and compares its vectors with those of sentence-transformers on
fixed texts. What came of it is kept in the user's cache, so that later uses load neither torch nor
sentence-transformers.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning.embeddings._reference import Reference
from orb_learning.embeddings._source import ModelSource, logger
from orb_learning.embeddings._vectors import DIMENSIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AGREEMENT = 0.9999
"""The least cosine with the reference: vectors of both may stand side by side."""

BATCH = 32
VERDICT = "verdict.json"


class OpenVino:
    """A converted model, compiled for this processor."""

    def __init__(self, source: ModelSource, folder: Path, precision: str) -> None:
        """Compile it; takes about a second.

        Args:
            source: where the tokenizer is.
            folder: where the converted model is.
            precision: of the arithmetic, `bf16` or `f32`.
        """
        from tokenizers import Tokenizer

        openvino = _silent_openvino()
        assert source.directory is not None  # noqa: S101  # only directories are converted
        self.identity = source.identity
        self.precision = precision
        self._tokenizer = Tokenizer.from_file(str(source.directory / "tokenizer.json"))
        self._tokenizer.enable_truncation(_longest(source.directory))
        self._tokenizer.no_padding()
        self._request = (
            openvino.Core()
            .compile_model(
                str(folder / "model.xml"),
                "CPU",
                {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"},
            )
            .create_infer_request()
        )
        self._turn = threading.Lock()  # a request serves one thread at a time

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one normalised vector a text: shape (number of texts, 384)."""
        import numpy as np

        tokens = [one.ids for one in self._tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(tokens), DIMENSIONS), np.float32)
        # Texts of like length together: the shorter ones are padded to the longest of a batch.
        order = sorted(range(len(tokens)), key=lambda number: len(tokens[number]))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            width = len(tokens[batch[-1]])
            ids = np.zeros((len(batch), width), np.int64)
            mask = np.zeros((len(batch), width), np.int64)
            for row, number in enumerate(batch):
                length = len(tokens[number])
                ids[row, :length] = tokens[number]
                mask[row, :length] = 1
            with self._turn:
                result = self._request.infer([ids, mask])
                vectors[batch] = result[0]
        return vectors


def load_openvino(source: ModelSource, cache: Path | None = None) -> OpenVino | None:
    """Return the converted model, or None where it does not agree with the reference.

    Args:
        source: a model in a directory.
        cache: where conversions are kept; default `orb-learning` in the user's cache.
    """
    openvino = _silent_openvino()
    kept = cache or _cache()
    folder = kept / f"{source.identity.removeprefix('sha256:')}-openvino-{openvino.__version__[:8]}"
    try:
        verdict = json.loads((folder / VERDICT).read_text())
    except (OSError, ValueError):
        try:
            verdict = _convert(source, folder)
        except Exception as error:  # no torch, a model it cannot convert, a full disk
            logger.info("OpenVINO is not used: %s", " ".join(str(error).split())[:300])
            return None
    if verdict["cosine"] < AGREEMENT:
        logger.info("OpenVINO is not used: its cosine with the reference is %s", verdict["cosine"])
        return None
    return OpenVino(source, folder, verdict["precision"])


def _convert(source: ModelSource, folder: Path) -> dict[str, Any]:
    """Convert a model, compare it, and keep it with the verdict; all or nothing on disk."""
    openvino = _silent_openvino()
    reference = Reference(source)
    making = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    making.mkdir(mode=0o700, parents=True)
    try:
        openvino.save_model(_traced(reference), making / "model.xml", compress_to_fp16=False)
        abilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        verdict: dict[str, Any] = {"precision": "f32", "cosine": 0.0}
        for precision in ("bf16", "f32") if "BF16" in abilities else ("f32",):
            cosine = agreement(OpenVino(source, making, precision), reference)
            verdict = {"precision": precision, "cosine": cosine}
            if cosine >= AGREEMENT:
                break
        (making / VERDICT).write_text(json.dumps(verdict) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return verdict


def agreement(model: OpenVino, reference: Reference) -> float:
    """Return the least cosine of two paths' vectors, over texts of every shape and length."""
    import numpy as np

    ours = model.embed(SAMPLES).astype(np.float64)
    theirs = reference.embed(SAMPLES).astype(np.float64)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / lengths).min())


def _traced(reference: Reference) -> Any:
    import torch

    class Whole(torch.nn.Module):  # type: ignore[misc]  # torch is Any here
        """Tokens to normalised vectors: all of the model, its pooling included."""

        def __init__(self) -> None:
            super().__init__()
            self.transformer = reference.transformer

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            vectors = self.transformer(features)["sentence_embedding"]
            return torch.nn.functional.normalize(vectors, p=2, dim=1)

    example = torch.ones(2, 16, dtype=torch.long)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer speaks of branches that do not matter here
        return _silent_openvino().convert_model(Whole().eval(), example_input=(example, example))


def _silent_openvino() -> Any:
    """Import OpenVINO without the part that reports each import to its maker."""
    reporter = "openvino_telemetry"
    if "openvino" not in sys.modules and reporter not in sys.modules:
        sys.modules[reporter] = None  # type: ignore[assignment]  # the import of it then fails
        try:
            import openvino
        finally:
            del sys.modules[reporter]
    import openvino

    return openvino


def _longest(directory: Path) -> int:
    try:
        settings = json.loads((directory / "sentence_bert_config.json").read_text())
        return int(settings["max_seq_length"])
    except (OSError, ValueError, KeyError, TypeError):
        return 256


def _cache() -> Path:
    chosen = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen).expanduser() / "orb-learning"


SAMPLES = (
    "",
    "x",
    "Zürich, 東京, naïve façade: ½ of the 🚀 is gone",
    "fix the flaky login test",
    "task: rotate the credentials of the payment gateway | repo: acme/billing",
    *(
        f"type: {kind} | task: {' '.join(['split the parser so that its tests run alone'] * times)}"
        f" | repo: acme/{kind} | tier: {tier} | pool: swarm | success: {success}"
        for times, (kind, tier, success) in enumerate(
            [
                ("bug_fix", "small", "true"),
                ("refactor", "large", "false"),
                ("docs", "medium", "true"),
                ("review", "large", "true"),
            ],
            start=1,
        )
    ),
    "type: feature | task: " + "describe what the user sees when the upload is interrupted " * 60,
)
