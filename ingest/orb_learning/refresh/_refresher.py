"""Refreshing in this process: what `dbt build` does, kept warm between refreshes."""

from __future__ import annotations

import gc
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orb_learning.errors import RefreshError
from orb_learning.home import HOME_VARIABLE, Home
from orb_learning.publication import Publication, current, later_day_published, moment_of
from orb_learning.refresh._command import environment, make_folders, require_dbt
from orb_learning.refresh._nodes import NodeWatch, OnNode
from orb_learning.refresh._project import locate_project

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

WHOLE = ("--selector", "refresh")
STEADY = ("--selector", "steady", "--no-write-json", "--log-level-file", "info")

logger = logging.getLogger("orb_learning.refresh")


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh did.

    Attributes:
        publication: the publication now in force.
        warnings: nodes that ended with a warning.
        seconds: wall-clock time of the whole refresh.
        is_published: False if it was as of a day before the publication's, which stands.
    """

    publication: Publication
    warnings: list[str]
    seconds: float
    is_published: bool = True


class Refresher:
    """Runs dbt in this process and keeps its parsed project between runs."""

    def __init__(
        self, home: str | os.PathLike[str] | None = None, project: Path | None = None
    ) -> None:
        """Choose the home and the project; dbt is imported by the first run.

        Args:
            home: the home directory; default $ORB_LEARNING_HOME, else ./data.
            project: the directory of `dbt_project.yml`; default see `locate_project`.

        Raises:
            ProjectError: there is no project.
        """
        self.home = Home.locate(home)
        self.project = project or locate_project()
        self._manifest: Manifest | None = None
        self._built: int | None = None

    def refresh(
        self,
        *,
        as_of: str | None = None,
        full_refresh: bool = False,
        publish: bool = False,
        quiet: bool = True,
        with_tests: bool = True,
        on_progress: OnNode | None = None,
    ) -> RefreshReport:
        """Load, build all models, test them, and publish.

        Args:
            as_of: the moment all windows end: an ISO 8601 date or time, UTC unless it says
                otherwise; default now. A day before the publication's is built and not published.
            full_refresh: build every table from scratch.
            publish: publish also as of a day before the publication's.
            quiet: keep dbt's own log lines off the terminal.
            with_tests: run the data tests too, and publish only if they pass; without them this
                is `dbt run`, and a contract or a model that fails still keeps it from publishing.
            on_progress: called as each node begins and ends with its name, how many nodes are
                done, and how many there are; it publishes behind the last.

        Raises:
            RefreshError: a node failed; the last publication stands.
            ProjectError: dbt is not installed, or `as_of` is no time or more than a day ahead.
        """
        started = time.monotonic()
        arguments = ["build" if with_tests else "run"]
        moment = None if as_of is None else moment_of(as_of)
        if moment is not None:
            named = moment.replace(tzinfo=None).isoformat()
            arguments += ["--vars", json.dumps({"as_of": named, "publish_past": publish})]
        if full_refresh:
            arguments.append("--full-refresh")
        with self.home.locked():
            before = _last_published(self.home)
            warehouse = _inode(self.home.warehouse)
            # Views hold no rows, and artifacts say what they said: only the first refresh of a
            # warehouse makes them.
            is_steady = warehouse is not None and warehouse == self._built and not full_refresh
            selection = STEADY if is_steady else WHOLE
            try:
                results = self.invoke(
                    [*arguments, *selection], quiet=quiet, on_progress=on_progress
                )
            except RefreshError as error:
                self._built = None
                # A load may have dropped the warehouse: its successor has no views yet.
                is_new = is_steady and "does not exist" in str(error)
                if not (is_new or self.home.warehouse_damage.exists()):
                    raise
                results = self.invoke([*arguments, *WHOLE], quiet=quiet, on_progress=on_progress)
            self._built = _inode(self.home.warehouse)
            is_published = _last_published(self.home) != before
            if not is_published and (
                publish or moment is None or not later_day_published(self.home, moment.date())
            ):
                raise RefreshError("dbt ended without publishing; the last publication stands")
        publication = current(self.home)
        warnings = [
            result.node.name for result in results if str(result.status) == "warn" and result.node
        ]
        return RefreshReport(publication, warnings, time.monotonic() - started, is_published)

    def interrupt(self) -> None:
        """Interrupt the queries of a refresh in another thread: it fails and publishes nothing.

        dbt goes on with the next model, so call this until the refresh has ended.
        """
        from dbt.adapters.factory import FACTORY

        for adapter in list(FACTORY.adapters.values()):
            adapter.cancel_open_connections()

    def invoke(
        self, arguments: list[str], *, quiet: bool = True, on_progress: OnNode | None = None
    ) -> Any:
        """Run one dbt command on this home and return dbt's own result.

        Every file that dbt opened is closed again when this returns.

        Raises:
            RefreshError: the command failed.
            ProjectError: dbt is not installed.
        """
        require_dbt()
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        make_folders(self.home)
        options = [
            "--project-dir", str(self.project),
            "--profiles-dir", str(self.project),
            "--target-path", str(self.home.target),
            "--log-path", str(self.home.logs),
        ]  # fmt: skip
        if quiet:
            options.append("--quiet")
        watches = [NodeWatch(on_progress)] if on_progress else None
        with environment({HOME_VARIABLE: str(self.home.root)}):
            try:
                runner = dbtRunner(manifest=self._manifest, callbacks=watches)
                if self._manifest is None:
                    parsed = runner.invoke(["parse", *options])
                    if parsed.success:
                        self._manifest = parsed.result
                        runner = dbtRunner(manifest=self._manifest, callbacks=watches)
                outcome = runner.invoke([*arguments, *options])
            finally:
                DuckDBConnectionManager.close_all_connections()
        if not outcome.success:
            why = _why(outcome)
            del outcome, runner
            # After an ATTACH that failed only a cycle of garbage still holds the warehouse.
            gc.collect()
            raise RefreshError(why)
        return outcome.result


def refresh(
    home: str | os.PathLike[str] | None = None,
    *,
    as_of: str | None = None,
    full_refresh: bool = False,
    publish: bool = False,
    on_progress: OnNode | None = None,
) -> RefreshReport:
    """Load, build, test and publish once. See `Refresher.refresh`."""
    return Refresher(home).refresh(
        as_of=as_of, full_refresh=full_refresh, publish=publish, on_progress=on_progress
    )


def _why(outcome: Any) -> str:
    if outcome.exception is not None:
        text = " ".join(str(outcome.exception).split())
        return f"dbt failed: {text}"
    failed = [
        result
        for result in outcome.result or []
        if str(result.status) in ("error", "fail", "runtime error")
    ]
    if not failed:
        return "dbt failed without saying which node; see logs/dbt.log in the home"
    first = failed[0]
    message = " ".join(str(first.message or "").split())
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{first.node.name} ended as {first.status}: {message}{more}"


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _last_published(home: Home) -> tuple[str, int]:
    """Return what is in force, and when it was last made so or seen to be up to date."""
    try:
        return home.current.readlink().name, home.current.lstat().st_mtime_ns
    except OSError:
        return "", 0
