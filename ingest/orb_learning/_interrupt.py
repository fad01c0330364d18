"""Ctrl-C on the command line: one line, exit code 130, and the process is gone.

Nothing is wound up: every store survives a kill at any moment, and an exception in the middle of
dbt's or DuckDB's work is held back for as long as that takes. It loads next to nothing, so that it
is in force before the rest of the package is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

EXIT_CODE = 130
"""What a shell calls a command that ended by SIGINT."""

_LINE = b"interrupted; the next run takes back or goes on with what is half done\n"
_CLEAR = b"\r\x1b[2K\x1b[?25h"
"""Wipes a progress bar off the terminal's line, and shows the cursor that it hid."""

_NO_TRACKER_LINES = "ignore:resource_tracker:UserWarning"

_LOOK_SECONDS = 0.1


def end_at_interrupt() -> None:
    """End this process at SIGINT from now on, unless somebody else handles or ignores it.

    A shell lets what it starts in the background ignore it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _give_up)
        # A process of Python's own clears dbt's locks away, and would tell so.
        sys.warnoptions.append(_NO_TRACKER_LINES)


def run_beside(work: Callable[[], None]) -> None:
    """Run in a thread and wait for it: the main thread, free of work, answers signals at once."""
    thread = threading.Thread(target=work, name="command", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)  # a system may give the signal to another thread


def _give_up(number: int, frame: FrameType | None) -> None:
    # Neither logging nor a console: the thread that is left may hold their locks.
    try:
        os.write(2, _CLEAR + _LINE if os.isatty(2) else _LINE)
    finally:
        os._exit(EXIT_CODE)
