"""`orb-learning migrate`: the versions of the staging schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import Sure, ask, say_if_new
from orb_learning.cli._show import out
from orb_learning.home import Home

if TYPE_CHECKING:
    from orb_learning.staging import Migration
    from orb_learning.upkeep import MigrationReport

app = typer.Typer(no_args_is_help=True, help="Bring the staging schema to another version.")

Plan = Annotated[bool, typer.Option("--plan", help="Only show what would be done.")]


@app.command()
def upgrade(
    context: typer.Context,
    to: Annotated[int | None, typer.Option(help="Version to stop at. Default: newest.")] = None,
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """Apply the migrations that are pending. Loads and refreshes do so by themselves.

    `orb-learning migrate upgrade --plan`
    """
    from orb_learning import upkeep

    if plan:
        say_if_new(context.obj)
    _print_migrations(upkeep.migrate_up(context.obj, to, is_plan=plan), plan, as_json)


@app.command()
def downgrade(
    context: typer.Context,
    to: Annotated[int, typer.Option(min=0, help="Version to go back to.")],
    plan: Plan = False,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Take back the migrations above a version, after a backup. The data they hold is lost.

    `orb-learning migrate downgrade --to 1 --yes`
    """
    from orb_learning import upkeep

    if plan:
        say_if_new(context.obj)
    elif upkeep.migrate_down(context.obj, to, is_plan=True).taken_back:
        ask(f"Take back what staging holds above version {to}?", is_sure=yes)
    _print_migrations(upkeep.migrate_down(context.obj, to, is_plan=plan), plan, as_json)


@app.command()
def reset(
    context: typer.Context, plan: Plan = False, yes: Sure = False, as_json: AsJson = False
) -> None:
    """Empty staging, after a backup, and make its schema anew.

    What the spool still holds is loaded again by the next refresh.

    `orb-learning migrate reset --yes`
    """
    from orb_learning import upkeep

    home: Home = context.obj
    if plan:
        say_if_new(home)
    else:
        ask(f"Empty {home.staging}?", is_sure=yes)
    _print_migrations(upkeep.reset(home, is_plan=plan), plan, as_json)


@app.command()
def validate(context: typer.Context, as_json: AsJson = False) -> None:
    """Check that what is applied is what this release ships.

    `orb-learning migrate validate`
    """
    from orb_learning import staging

    say_if_new(context.obj)
    with staging.look_at_staging(context.obj) as connection:
        staging.validate(connection)
    if as_json:
        print_json({"valid": True})
    else:
        out.print("valid")


@app.command(name="status")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """List the migrations and what became of them.

    `orb-learning migrate status`
    """
    from orb_learning import staging

    say_if_new(context.obj)
    with staging.look_at_staging(context.obj) as connection:
        states = staging.status(connection)
    if as_json:
        print_json(states)
        return
    for state in states:
        out.print(f"{state.version:04} {state.name}: {state.state}")


def _print_migrations(report: MigrationReport, is_plan: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "applied": _named(report.applied),
                "taken_back": _named(report.taken_back),
                "backup": report.backup,
            }
        )
        return
    would = "would " if is_plan else ""
    if report.backup:
        out.print(f"backup {report.backup}")
    for verb, migrations in (
        (f"{would}take back" if is_plan else "took back", report.taken_back),
        (f"{would}apply" if is_plan else "applied", report.applied),
    ):
        for migration in migrations:
            out.print(f"{verb} {migration.version:04} {migration.name}")
    if not report.applied and not report.taken_back:
        out.print("nothing to do")


def _named(migrations: list[Migration]) -> list[dict[str, object]]:
    """Return migrations without their SQL."""
    return [{"version": one.version, "name": one.name} for one in migrations]
