"""Which model is loaded, from where, and by which path."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from orb_learning.embeddings import (
    _model,
    _openvino,
    _reference,
    _source,
    load_model,
    locate_model,
)
from orb_learning.embeddings._openvino import OpenVino, load_openvino
from orb_learning.embeddings._reference import Reference
from orb_learning.embeddings._source import MODEL_VARIABLE, ModelSource
from orb_learning.errors import EmbeddingError

TEXTS = ["fix the flaky login test", "", "a" * 5000, *(f"text {number}" for number in range(40))]


@pytest.fixture(scope="module")
def reference():
    return Reference(locate_model())


def test_the_default_is_the_packages_weights(monkeypatch):
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    source = locate_model()
    assert source.directory == Path(source.name)
    assert source.identity.startswith("sha256:")
    assert source == locate_model(source.name), "the same weights, the same identity"


def test_the_environment_names_a_model(monkeypatch, tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path))
    assert locate_model().directory == tmp_path
    assert locate_model("other/model") == ModelSource("other/model", None, "other/model")


def test_other_weights_are_another_identity(tmp_path):
    for name, text in (("one", "[]"), ("two", "[ ]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "modules.json").write_text(text)
    assert locate_model(tmp_path / "one").identity != locate_model(tmp_path / "two").identity


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "a/b/c"])
def test_a_directory_that_is_not_there_is_said_so(name):
    with pytest.raises(EmbeddingError, match="there is no such user"):
        locate_model("~nosuchuser/model")
    with pytest.raises(EmbeddingError, match="there is no directory"):
        locate_model(name)


def test_a_directory_without_a_model_is_said_so(tmp_path):
    with pytest.raises(EmbeddingError, match="holds no sentence-transformers model"):
        locate_model(tmp_path)
    (tmp_path / "modules.json").write_text("[{}]")
    with pytest.raises(EmbeddingError, match="cannot load the model"):
        load_model(locate_model(tmp_path))


def without(monkeypatch, *missing):
    real = _model.find_spec
    for module in (_model, _reference, _source):
        monkeypatch.setattr(
            module, "find_spec", lambda name: None if name in missing else real(name)
        )


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(monkeypatch):
    source = locate_model()
    without(monkeypatch, "sentence_transformers", "openvino", _source._PACKAGED)
    with pytest.raises(EmbeddingError, match=r"pip install 'orb-learning\[embeddings\]'"):
        locate_model()
    with pytest.raises(EmbeddingError, match=r"pip install 'orb-learning\[embeddings\]'"):
        load_model(source)


def test_openvino_is_used_where_it_agrees(cache, reference):
    model = load_model()
    assert isinstance(model, OpenVino)
    ours, theirs = model.embed(TEXTS), reference.embed(TEXTS)
    assert ours.shape == theirs.shape == (len(TEXTS), 384)
    assert ours.dtype == theirs.dtype == np.float32
    assert (ours * theirs).sum(axis=1).min() >= 0.9999
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert model.identity == reference.identity
    (folder,) = cache.iterdir()
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["cosine"] >= 0.9999
    assert verdict["precision"] == model.precision
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_openvino_the_reference_is_used(monkeypatch):
    without(monkeypatch, "openvino")
    assert isinstance(load_model(), Reference)


def test_a_model_that_does_not_agree_is_not_used_and_not_converted_again(
    tmp_path, monkeypatch, reference
):
    real = _openvino.AGREEMENT
    monkeypatch.setattr(_openvino, "AGREEMENT", 1.1)
    assert load_openvino(locate_model(), tmp_path) is None
    monkeypatch.setattr(_openvino, "_convert", None)
    assert load_openvino(locate_model(), tmp_path) is None
    monkeypatch.setattr(_openvino, "AGREEMENT", real)
    model = load_openvino(locate_model(), tmp_path)
    assert model.embed([]).shape == (0, 384)


def test_a_model_that_cannot_be_converted_leaves_the_reference(tmp_path, monkeypatch):
    def fail(reference):
        raise RuntimeError("an operation is unknown")

    monkeypatch.setattr(_openvino, "_traced", fail)
    assert load_openvino(locate_model(), tmp_path) is None
    assert list(tmp_path.iterdir()) == [], "no half conversion is left"


def test_threads_may_share_a_model(cache):
    model = load_model()
    expected = model.embed(TEXTS)
    wrong = []

    def check(start):
        for number in range(start, len(TEXTS), 4):
            found = model.embed([TEXTS[number]])[0]
            if not np.allclose(found, expected[number], atol=1e-4):
                wrong.append(number)

    threads = [threading.Thread(target=check, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_without_a_stated_length_takes_256_tokens(tmp_path):
    assert _openvino._longest(tmp_path) == 256
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    assert _openvino._longest(tmp_path) == 128


def test_loading_a_converted_model_needs_neither_torch_nor_the_network(cache):
    load_model()
    code = """
import socket, sys
def refuse(*arguments): raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = refuse
from orb_learning.embeddings import load_model
print(load_model().embed(["fix the login"]).shape)
loaded = {name.partition(".")[0] for name in sys.modules}
print(loaded & {"torch", "transformers", "sentence_transformers", "openvino_telemetry"})
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "(1, 384)\nset()\n"
    assert child.stderr == ""


def test_converting_needs_no_network(tmp_path, monkeypatch):
    code = """
import socket
def refuse(*arguments): raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = refuse
from orb_learning.embeddings import load_model
print(type(load_model()).__name__)
"""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "OpenVino\n"


def test_a_model_of_another_size_is_refused(press, model):
    model.embed = lambda texts: np.ones((len(texts), 768))
    press.publish(["split the parser"])
    from orb_learning.embeddings import embed

    with pytest.raises(EmbeddingError, match="768"):
        embed(press.home, model=model)


def test_an_interrupted_conversion_is_made_again(cache, tmp_path):
    load_model()
    (folder,) = cache.iterdir()
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    (copy / "verdict.json").write_text("{")
    assert load_openvino(locate_model(), tmp_path) is not None
    assert json.loads((copy / "verdict.json").read_text())["cosine"] > 0.9999
