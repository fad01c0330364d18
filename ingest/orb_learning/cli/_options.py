"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="The day all windows end, like 2026-06-15 (UTC), tomorrow at the latest.",
        show_default="today",
    ),
]

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
