"""What nobody will mend is taken out of quarantine, and nothing brings it back."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from orb_learning import Telemetry
from orb_learning.errors import HomeError
from orb_learning.importer import import_files
from orb_learning.staging import list_quarantine
from orb_learning.upkeep import discard, in_quarantine, reset

BAD = b"no JSON of anybody"


@pytest.fixture
def held(home, spool, staging, tmp_path, pool):
    """Quarantine two lines of the spool, one of a hook and two of an import; return its id."""
    spool.write("a.jsonl", BAD, pool(1), b'{"half": ')
    with Telemetry(home.root) as telemetry:
        telemetry.capture_feedback_sync(task_id="T-1", feedback_type="accepted", rating=9)
        row = {"timestamp": "2026-03-01T12:00:00Z", "task_type": "x", "repo": "r"}
        rows = [{**row, "model_tier": "m", "success": word} for word in ("so", "hm", True)]
        file = tmp_path / "runs.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)))
        report = import_files(telemetry, [file])
        assert report.rejected == 2
    staging.load()
    assert len(list_quarantine(home)) == 5
    return report.import_id


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"import_id": "its own"}, 3),
        ({"import_id": "another"}, 5),
        ({"reason": "STATUS word 'so'"}, 4),
        ({"reason": "json"}, 3),
        ({"import_id": "its own", "reason": "not JSON"}, 5),
        ({"reason": ""}, 0),
    ],
)
def test_what_is_chosen_goes_for_good(home, staging, held, chosen, left):
    if chosen.get("import_id") == "its own":
        chosen = {**chosen, "import_id": held}
    lines = in_quarantine(home, **chosen)
    assert discard(home, lines) == len(lines) == 5 - left
    staging.load()  # the ledger adds up
    assert len(list_quarantine(home)) == left
    reset(home)
    staging.load()
    assert len(list_quarantine(home)) == left, "and nothing brings it back"


def test_lines_are_chosen_by_id(home, held):
    first, second, *_ = list_quarantine(home)
    ids = [first.quarantine_id, second.quarantine_id]
    assert discard(home, in_quarantine(home, ids=ids)) == 2
    assert not {line.quarantine_id for line in list_quarantine(home)} & set(ids)
    with pytest.raises(HomeError, match="is not in quarantine; see"):
        in_quarantine(home, ids=[UUID(int=1)])


def test_its_text_is_in_no_segment(home, staging, held):
    discard(home, in_quarantine(home, reason="JSON"))
    assert not any(BAD in path.read_bytes() for path in home.spool.iterdir())


def test_a_home_that_is_not_there_has_nothing_in_quarantine(home):
    assert in_quarantine(home, import_id="runs-1") == []
    assert not home.root.exists()
