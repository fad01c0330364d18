"""The option that teaches a host's own status words."""

from __future__ import annotations

from typing import Annotated

import typer

StatusWords = Annotated[
    list[str] | None,
    typer.Option(
        "--status-word",
        metavar="WORD=success|failure",
        help="What a status word of the host's own says; repeatable.",
    ),
]


def taught(words: list[str] | None) -> dict[str, bool]:
    """Return each word with whether it says success.

    Raises:
        typer.BadParameter: an option is no `WORD=success` and no `WORD=failure`.
    """
    says = {"success": True, "failure": False}
    learned: dict[str, bool] = {}
    for option in words or ():
        word, _, meaning = option.rpartition("=")
        if not word.strip() or meaning.strip().lower() not in says:
            raise typer.BadParameter(
                f"expected WORD=success or WORD=failure, not {option!r}", param_hint="--status-word"
            )
        learned[word] = says[meaning.strip().lower()]
    return learned
