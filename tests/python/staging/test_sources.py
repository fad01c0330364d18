"""What dbt is told of the raw tables follows from the event classes."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from orb_learning import events
from orb_learning.staging import _sources

CHECKOUT = Path(__file__).parents[3]


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
