"""What `dbt run` itself needs: the spool loaded at its start, a publication at its end.

dbt-duckdb makes the plugin when it opens the warehouse. `dbt run` and `dbt build` load the spool
first; every other command only makes sure that there is a staging file to attach. At the end the
macro `publish` hands over what became of every node, and the warehouse is published if, and only
if, all models were built on all rows and nothing failed. What else lies in the warehouse is older
and stays there.
"""

from __future__ import annotations

import gc
import sys
import weakref
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.factory import FACTORY
from dbt.flags import get_flags
from dbt_common.exceptions import DbtRuntimeError
from dbt_common.invocation import get_invocation_id

from orb_learning._database import limit_memory
from orb_learning._faults import crash_point
from orb_learning._spill import SpillFolder
from orb_learning.errors import OrbLearningError
from orb_learning.home import HOME_VARIABLE, Home
from orb_learning.publication import Keyed, later_day_published, publish
from orb_learning.staging import open_staging
from orb_learning.upkeep import take_in
from orb_learning.warehouse import STORAGE_VERSION, settle_warehouse, shrink_warehouse

if TYPE_CHECKING:
    import duckdb
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.adapters.duckdb.utils import TargetConfig

LOADING_COMMANDS = ("run", "build")
DAMAGE = ("Corrupt database file", "does not match stored checksum", "load metadata pointer")
"""What DuckDB says of a file whose blocks are damaged."""

OUR_MODELS = "model.orb_learning."

DONE = {"success", "pass", "warn", "no-op"}

logger = AdapterLogger("orb-learning")


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt-duckdb ships no types
    """Ties a dbt invocation to the home that its warehouse lies in."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Find the home; nothing on disk is touched before dbt connects."""
        if self.creds is None:
            raise DbtRuntimeError("orb_learning.dbt_plugin needs the profile's credentials")
        _refuse_another_project()
        self._home = home_of(self.creds)
        freeze_garbage_collector()
        self._invocation = ""
        self._connection: duckdb.DuckDBPyConnection | None = None

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Take the home's lock and bring staging up to date, before the warehouse is opened.

        The lock is held for as long as this plugin lives, which is as long as dbt holds the files.
        """
        self._invocation = get_invocation_id()
        config.setdefault("storage_compatibility_version", STORAGE_VERSION)
        try:
            self._home.acquire_lock()
            self._spill = SpillFolder(self._home)
            self._releases = weakref.finalize(self, _release, self._home, self._spill)
            config.setdefault("temp_directory", str(self._spill.path))
            settle_warehouse(self._home)
            if get_flags().WHICH in LOADING_COMMANDS:
                shrink_warehouse(self._home, str(config["storage_compatibility_version"]))
                report = take_in(self._home)
                crash_point("refresh.loaded")
                logger.info(
                    f"loaded {report.loaded} events ({report.duplicates} duplicates, "
                    f"{report.quarantined} quarantined), load {report.load_id}"
                )
            else:
                with open_staging(self._home):
                    pass
        except OrbLearningError as error:
            raise DbtRuntimeError(str(error)) from error

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Keep the connection: a second one in this process could not write."""
        self._home.warehouse.chmod(0o600)  # dbt makes it as the umask says
        if self.creds is None or "memory_limit" not in (self.creds.config_options or {}):
            limit_memory(conn)
        self._connection = conn
        # Whoever waits for the lock opens the files next: they have to be closed before it is free.
        self._releases.detach()
        weakref.finalize(self, _release, self._home, self._spill, conn)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Refuse a second loading command on files that an earlier one left open."""
        command = get_flags().WHICH
        if command in LOADING_COMMANDS and self._invocation != get_invocation_id():
            raise DbtRuntimeError(
                "this process still holds the warehouse of an earlier dbt command; use "
                "orb_learning.refresh, or call DuckDBConnectionManager.close_all_connections() "
                "between commands"
            )

    def store(self, target_config: TargetConfig) -> None:
        """Publish, unless something failed or not everything was built."""
        outcome = target_config.config
        if any(is_damage(message) for message in outcome["messages"]):
            self._note_damage()
        reason = reason_not_to_publish(outcome["expected"], outcome["statuses"])
        if not reason and outcome["keeps_later"]:
            reason = self._later_day(outcome["as_of"][:10])
        if reason:
            logger.warning(f"not published: {reason}; the last publication stands")
            return
        if self._connection is None:
            raise DbtRuntimeError("not published: dbt has not connected to the warehouse")
        crash_point("refresh.built")
        from orb_learning.embeddings import SimilarityCompanion

        cursor = self._connection.cursor()
        try:
            publication = publish(
                cursor,
                self._home,
                schema=target_config.relation.schema,
                as_of=outcome["as_of"],
                tables=outcome["tables"],
                keyed={name: Keyed(**said) for name, said in outcome["keyed"].items()},
                companion=SimilarityCompanion(self._home),
            )
        except OrbLearningError as error:
            if is_damage(str(error)):
                self._note_damage()
            raise DbtRuntimeError(f"not published: {error}") from error
        finally:
            cursor.close()
        logger.info(f"published {publication.id}, load {publication.load_id}")

    def _later_day(self, day: str) -> str:
        """Return why a day that was named may not replace what readers have, or an empty text."""
        published = later_day_published(self._home, date.fromisoformat(day))
        if published is None:
            return ""
        return (
            f"the run was as of {day}, the publication is of {published}; "
            "to replace it all the same add publish_past: true to the vars"
        )

    def _note_damage(self) -> None:
        logger.warning("the warehouse is damaged; the next run builds it anew from staging")
        self._home.warehouse_damage.touch(mode=0o600)


def _refuse_another_project() -> None:
    """Refuse a project without our models: loading would end in nothing, beside foreign files."""
    adapter = FACTORY.adapters.get("duckdb")
    manifest = adapter and adapter.get_macro_resolver()
    # `dbt debug` reads no models.
    if manifest is not None and not any(name.startswith(OUR_MODELS) for name in manifest.nodes):
        raise DbtRuntimeError(
            "this dbt project has none of orb-learning's models: take the plugin "
            "orb_learning.dbt_plugin out of its profile, or run dbt in orb-learning's project"
        )


def home_of(credentials: DuckDBCredentials) -> Home:
    """Return the home that a profile names.

    Raises:
        DbtRuntimeError: its paths are not those of a home, or what lies there is none.
    """
    path = Path(credentials.path).expanduser()  # as DuckDB does
    home = Home(path.absolute().parent)
    attached = [
        Path(one.path).expanduser().resolve() for one in credentials.attach or () if one.alias
    ]
    is_local = "://" not in credentials.path and not credentials.path.startswith(("md:", ":"))
    if not is_local or path.name != home.warehouse.name or home.staging.resolve() not in attached:
        raise DbtRuntimeError(
            f"the profile's path {credentials.path} is in no home of orb-learning: it must be "
            "<home>/warehouse.duckdb, with <home>/staging.duckdb attached as staging; "
            "orb-learning's profiles.yml does it"
        )
    ours = (home.staging, home.spool, home.published, home.backups)
    foreign = (home.warehouse, home.root / "dbt_project.yml")
    if not any(path.exists() for path in ours) and any(path.exists() for path in foreign):
        raise DbtRuntimeError(
            f"{home.root} is no home of orb-learning, and holds other things: name another "
            f"directory, for instance with {HOME_VARIABLE}"
        )
    return home


def _release(
    home: Home, spill: SpillFolder, connection: duckdb.DuckDBPyConnection | None = None
) -> None:
    if connection is not None:
        connection.close()
    spill.delete()
    home.release_lock()


def freeze_garbage_collector() -> None:
    """Keep the garbage collector of a `dbt` command from the parsed project.

    It looked through it again and again: half a second of a cold `dbt run` of five. Any other
    process is left alone, for what becomes garbage there later would be kept too.
    """
    if Path(*sys.argv[:1]).stem == "dbt" and not gc.get_freeze_count():
        gc.freeze()


def is_damage(message: str) -> bool:
    """Tell whether an error of DuckDB says that a file's blocks are not what was written."""
    return any(sign in message for sign in DAMAGE)


def reason_not_to_publish(expected: list[str], statuses: dict[str, str]) -> str:
    """Return why a run with these node statuses must not be published, or an empty string."""
    flags = get_flags()
    if getattr(flags, "EMPTY", False):
        return "the run was --empty"
    if getattr(flags, "SAMPLE", None):
        return "the run was a --sample"
    failed = sorted(
        (status == "skipped", node) for node, status in statuses.items() if status not in DONE
    )
    if failed:
        first = failed[0][1]
        more = f", and {len(failed) - 1} more nodes did not succeed" if len(failed) > 1 else ""
        return f"{_short(first)} ended as {statuses[first]}{more}"
    missing = sorted(set(expected) - statuses.keys())
    if missing:
        without = ", ".join(_short(node) for node in missing)
        return f"the run was partial, without {without}; `dbt run` builds all and publishes"
    return ""


def _short(unique_id: str) -> str:
    """Return a node's name without its kind and project: `model.orb_learning.tasks` is tasks."""
    return unique_id.split(".")[2]
