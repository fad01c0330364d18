"""What dbt is told of the raw tables follows from the event classes."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from orb_learning import events
from orb_learning.staging import _sources, upgrade

CHECKOUT = Path(__file__).parents[3]
STAGING = CHECKOUT / "models" / "staging"
MODELS = yaml.safe_load((STAGING / "_staging__models.yml").read_text())["models"]


class Described(events.TaskEvent):
    """Something happened.

    Attributes:
        colour: as seen
            by the host.
    """

    __module__ = events.__name__
    colour: str


@pytest.fixture
def only(monkeypatch):
    """Let there be one kind of event."""
    return lambda cls: monkeypatch.setattr(_sources, "EVENT_TYPES", {"described": cls})


@pytest.mark.parametrize("path", _sources.written())
def test_a_written_file_is_as_the_event_classes_say(path):
    is_current = (CHECKOUT / path).read_text() == _sources.written()[path]
    assert is_current, f"{path} is stale: run `make sources`"


@pytest.fixture(scope="module")
def raw():
    with duckdb.connect() as connection:
        upgrade(connection)
        yield connection


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["name"])
def test_a_staging_model_has_the_columns_that_it_describes(raw, model):
    sql = (STAGING / f"{model['name']}.sql").read_text()
    columns = raw.execute(re.sub(r"{{ source\('raw', '(\w+)'\) }}", r"raw.\1", sql)).description
    assert {column["name"] for column in model["columns"]} == {name for name, *_ in columns}


def test_make_sources_writes_every_file(tmp_path, monkeypatch):
    for path in _sources.written():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, _sources.__name__)
    runpy.run_module(_sources.__name__, run_name="__main__")
    assert {path: Path(path).read_text() for path in _sources.written()} == _sources.written()


def test_a_text_of_two_lines_becomes_a_sentence(only):
    only(Described)
    assert _sources.field_texts()["colour"] == "As seen by the host."


def test_a_field_without_a_text_is_refused(only, monkeypatch):
    monkeypatch.setattr(Described, "__doc__", "Something happened.")
    only(Described)
    with pytest.raises(ValueError, match=r"Described\.colour has no text in the docstring of its"):
        _sources.written()


def test_a_field_is_described_in_one_class_only(only, monkeypatch):
    doc = "Something.\n\n    Attributes:\n        attempt: another meaning.\n"
    monkeypatch.setattr(Described, "__doc__", doc)
    only(Described)
    with pytest.raises(ValueError, match=r"Described\.attempt is described elsewhere already"):
        _sources.written()
