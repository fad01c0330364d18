"""`orb-learning imports`: what was imported, and taking it back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import Sure, ask, say_if_new
from orb_learning.cli._show import out, print_table, shown
from orb_learning.errors import printable

app = typer.Typer(no_args_is_help=True, help="See what was imported, and take it back.")


@app.command(name="list")
def imports_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List what was imported and not undone, the newest first.

    `orb-learning imports list`
    """
    from orb_learning import upkeep

    say_if_new(context.obj)
    found = upkeep.list_imports(context.obj)
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("import", overflow="fold")
    table.add_column("imported")
    table.add_column("rows", justify="right")
    table.add_column("refused", justify="right")
    table.add_column("runs began")
    for one in found:
        began = f"{one.first_run:%Y-%m-%d} to {one.last_run:%Y-%m-%d}" if one.rows else ""
        table.add_row(
            shown(one.import_id),
            f"{one.imported_at:%Y-%m-%d %H:%M}",
            f"{one.rows:,}",
            f"{one.refused:,}",
            began,
        )
    print_table(table)


@app.command()
def undo(
    context: typer.Context,
    import_id: Annotated[str, typer.Argument(metavar="ID", help="Which one.")],
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Take back all that an import brought, and what it had refused, for good.

    The next refresh builds the warehouse anew. The file can be imported again.

    `orb-learning imports undo runs-20261130-1f0c2a --yes`
    """
    from orb_learning import upkeep

    say_if_new(context.obj)
    found = upkeep.find_import(context.obj, import_id)
    ask(
        printable(
            f"Take back {found.rows:,} rows and {found.refused:,} refused ones "
            f"of {found.import_id}?"
        ),
        is_sure=yes,
    )
    gone = upkeep.undo_import(context.obj, import_id)
    if as_json:
        print_json(gone)
        return
    out.print(
        f"{gone.rows:,} rows and {gone.refused:,} refused ones are gone; "
        "the next `orb-learning refresh` shows it"
    )
