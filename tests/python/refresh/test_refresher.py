"""What a refresh asks of dbt; dbt itself is left out."""

from __future__ import annotations

import json

import pytest

from orb_learning.errors import RefreshError
from orb_learning.home import Home
from orb_learning.refresh import Refresher


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2026-06-15", "2026-06-15T00:00:00"),
        ("2026-06-15T12:30", "2026-06-15T12:30:00"),
        ("2026-06-15T00:00:00Z", "2026-06-15T00:00:00"),
        ("2026-06-15T01:00:00+02:00", "2026-06-14T23:00:00"),
        ("2026-06-14T23:30:00-05:00", "2026-06-15T04:30:00"),
        ("1970-01-01", "1970-01-01T00:00:00"),
    ],
)
def test_a_moment_with_an_offset_is_the_same_moment_in_utc(
    home: Home, monkeypatch: pytest.MonkeyPatch, given: str, moment: str
) -> None:
    asked: list[str] = []

    def invoke(_: Refresher, arguments: list[str], **__: object) -> None:
        asked.extend(arguments)
        raise RefreshError("asked")

    monkeypatch.setattr(Refresher, "invoke", invoke)
    with pytest.raises(RefreshError, match="asked"):
        Refresher(home.root).refresh(as_of=given)
    assert json.loads(asked[asked.index("--vars") + 1])["as_of"] == moment


def test_a_refresh_tells_which_node_is_at_work_and_how_many_are_done(
    home: Home, parsed: Refresher
) -> None:
    refresher = Refresher(home.root)
    refresher._manifest = parsed._manifest
    told: list[tuple[str, int, int]] = []
    refresher.refresh(with_tests=False, on_progress=lambda *node: told.append(node))
    (total,) = {total for _, _, total in told}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, total)
    assert set(range(total + 1)) == set(done)
    names = {name for name, _, _ in told}
    assert len(names) == total
    assert {"executions", "tier_performance"} <= names


def test_a_refresh_that_nobody_watches_hears_no_events(
    home: Home, parsed: Refresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dbt.cli.main

    given: list[object] = []

    class Runner:
        def __init__(self, **settings: object) -> None:
            given.append(settings["callbacks"])
            raise RefreshError("asked")

    monkeypatch.setattr(dbt.cli.main, "dbtRunner", Runner)
    with pytest.raises(RefreshError, match="asked"):
        Refresher(home.root).refresh()
    assert given == [None]
