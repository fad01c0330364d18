"""dbt many times over: what each of its runs does anew although nothing has changed."""

from __future__ import annotations

import gc
from pprint import pformat
from types import CodeType
from typing import Any

from orb_learning.home import Home
from orb_learning.refresh import Refresher
from orb_learning.refresh._command import make_folders

PARSE = "partial_parse.msgpack"

QUIETLY = ("--no-write-json", "--log-level", "none", "--log-level-file", "none")
"""Options of a run whose artifacts and logs nobody reads."""


def keep_templates() -> None:
    """Have dbt compile a template once in this process, and not once in each run."""
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    if MacroFuzzEnvironment.__dict__.get("compile") is not None:
        return
    compiled: dict[tuple[type, str], CodeType] = {}
    compile_ = MacroFuzzEnvironment.compile

    def keeping(environment: Any, source: str, *where: Any, **options: Any) -> Any:
        if where or options:
            return compile_(environment, source, *where, **options)
        key = type(environment), source
        if key not in compiled:
            compiled[key] = compile_(environment, source)
        return compiled[key]

    MacroFuzzEnvironment.compile = keeping


def keep_parse(refresher: Refresher) -> None:
    """Parse the project for all who share this manifest, and keep the garbage collector from it.

    Looking through it again and again takes a fifth of a run.
    """
    keep_templates()
    refresher.invoke(["list", "--resource-type", "source"])
    gc.collect()
    gc.freeze()


def leave_parse(parsed: Refresher, home: Home, **variables: object) -> None:
    """Put a parsed project into a home, as a dbt command with these vars there would have left it.

    dbt reads it instead of parsing anew if the project, the vars and the profile are as they were.
    """
    from dbt.adapters.factory import FACTORY
    from dbt.contracts.files import FileHash
    from dbt.version import __version__

    def hashes(of: Home, given: object) -> tuple[str, str]:
        (adapter,) = FACTORY.adapters.values()
        profile = dict(adapter.config.credentials.connection_info())
        (staging,) = profile["attach"]
        profile |= {"path": str(of.warehouse), "attach": [{**staging, "path": str(of.staging)}]}
        texts = ("\0".join([pformat(given), "", "", __version__]), pformat(sorted(profile.items())))
        variables, path = (FileHash.from_contents(text).checksum for text in texts)
        return variables, path

    text = (parsed.home.target / PARSE).read_bytes()
    for old, new in zip(hashes(parsed.home, {}), hashes(home, variables), strict=True):
        assert text.count(old.encode()) == 1
        text = text.replace(old.encode(), new.encode())
    make_folders(home)
    (home.target / PARSE).write_bytes(text)
