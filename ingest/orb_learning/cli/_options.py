"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
