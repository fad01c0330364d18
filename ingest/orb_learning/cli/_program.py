"""How a person calls this program, and names a path, from where they stand."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def this_program() -> str:
    """Return what to type for the program that runs: its name where the shell finds it so."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py" or not called.is_file():
        return f"{as_typed(Path(sys.executable))} -m orb_learning"
    found = shutil.which(called.name)
    if found and Path(found).absolute() == called.absolute():
        return called.name
    typed = as_typed(called)
    return typed if "/" in typed else f"./{typed}"


def as_typed(path: Path) -> str:
    """Return a path for a shell: relative if it is below where the shell stands, else absolute."""
    text = str(path.absolute())
    here = Path.cwd()
    # `make -C` and the like go elsewhere for their commands, and their caller does not.
    if Path(os.environ.get("PWD", here)).resolve() == here.resolve():
        text = text.removeprefix(f"{here}/")
    return shlex.quote(text)
