"""The command `report`: what to use, how things go, and the marts behind it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from orb_learning.cli._figures import cost_of, figures, in_turn, name_of, sparkline, success_of
from orb_learning.cli._formats import Format, print_csv
from orb_learning.cli._json import print_json
from orb_learning.cli._show import out, print_markdown, print_mart, print_table, shown
from orb_learning.serving import HEADINGS, MARTS

if TYPE_CHECKING:
    from orb_learning.serving import Overview, Period, Report, TaskAnswer

app = typer.Typer()

WIDTH = 80
MOST_TASK_TYPES = 5
MOST_ARMS = 3

COLUMNS = {"arm": 24, "success": 16, "USD a run": 22, "runs": 6, "by week": 8}
"""Of an arm, and how wide each is: the same for all kinds of task."""

MartName = StrEnum("MartName", {name.upper(): name for name in MARTS})  # type: ignore[misc]  # made at run time
"""The marts a report can show."""


@app.command()
def report(
    context: typer.Context,
    *,
    repo: Annotated[str | None, typer.Option(help="Only this repository.")] = None,
    task_type: Annotated[str | None, typer.Option(help="Only this kind of task.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only this model tier.")] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1, help="Only the last so many days; the trend is of 30.", show_default="all"
        ),
    ] = None,
    mart: Annotated[
        list[MartName] | None,
        typer.Option(help="The rows of this mart instead of answers; repeatable."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Sort a mart by this column; -COLUMN the largest first.",
            show_default="the most telling first",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many kinds of task, or rows of each mart. Default: 5 and 10 for people, all "
            "in json and csv.",
        ),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="How the report is written.")
    ] = Format.TABLE,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="With csv: leave texts as they are, formulas and control signs too."
        ),
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Insist on marts that end on this day, like 2026-06-15 (UTC).",
            show_default="the day that is published",
        ),
    ] = None,
) -> None:
    """Show which arm to use for which kind of task, how things go, and what is stale.

    An arm is what a router chooses: a model tier, a pool, or both. `--mart` shows rows of a mart.

    `orb-learning report --repo acme/api --days 30`
    """
    from orb_learning.serving import Filters, build_report

    if raw and format_ is not Format.CSV:
        raise typer.BadParameter("--raw is for --format csv", param_hint="--raw")
    is_for_people = format_.is_for_people
    if sort and not mart and is_for_people:
        raise typer.BadParameter("it sorts the rows of a mart; add --mart", param_hint="--sort")
    names = tuple(name.value for name in mart) if mart else () if is_for_people else None
    found = build_report(
        context.obj,
        as_of=as_of,
        marts=names,
        limit=(limit or 10) if is_for_people else limit,
        filters=Filters(repo, task_type, tier, days),
        sort=sort,
    )
    if format_ is Format.JSON:
        print_json(_document(found))
    elif format_ is Format.CSV:
        print_csv(_csv_rows(found), is_raw=raw)
    elif not mart:
        most = 20 if task_type else MOST_ARMS
        is_markdown = format_ is Format.MARKDOWN
        print_answers(found, limit or MOST_TASK_TYPES, most, is_markdown=is_markdown)
    elif is_for_people:
        out.print(_summary(found))
    for one in found.marts if is_for_people else ():
        if format_ is Format.TABLE:
            print_mart(one)
            continue
        places = [place for place, column in enumerate(one.columns) if column in HEADINGS]
        headings = [HEADINGS[one.columns[place]][1] for place in places]
        out.print(f"\n{one.name}: {len(one.rows):,} of {one.total:,} rows\n")
        print_markdown(headings, ([shown(row[place]) for place in places] for row in one.rows))


def _document(found: Report) -> dict[str, object]:
    return {
        "publication": found.publication,
        "summary": found.summary,
        "overview": found.overview,
        "marts": {
            one.name: [dict(zip(one.columns, row, strict=True)) for row in one.rows]
            for one in found.marts
        },
    }


def _csv_rows(found: Report) -> Iterator[tuple[object, ...]]:
    for one in found.marts:
        yield ("mart", *one.columns)
        for row in one.rows:
            yield (one.name, *row)


def print_answers(
    found: Report,
    most: int = MOST_TASK_TYPES,
    most_arms: int = MOST_ARMS,
    *,
    is_markdown: bool = False,
) -> None:
    """Print what a report opens with.

    Args:
        found: the report.
        most: kinds of task.
        most_arms: arms of each.
        is_markdown: for a page instead of a terminal.
    """
    _print_line(_summary(found))
    overview = found.overview
    if overview is None:
        _print_line("An earlier release published this, without answers: `orb-learning refresh`.")
        return
    if not overview.answers:
        _print_line("\nNothing of that is known within the evidence's window.")
    for number, answer in enumerate(overview.answers[:most]):
        sentence = f"{shown(answer.task_type)}: {_sentence(answer)}"
        rows = list(_rows(answer, most_arms))
        out.print()
        if is_markdown:
            print_markdown([sentence, *list(COLUMNS)[1:]], rows)
            continue
        _print_line(sentence, style="bold")
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=not number)
        for heading, width in COLUMNS.items():
            justify: Literal["left", "right"] = "right" if heading == "runs" else "left"
            table.add_column(heading, justify=justify, width=width, no_wrap=True)
        for row in rows:
            table.add_row(*row)
        print_table(table, WIDTH)
    out.print()
    if len(overview.answers) > most:
        _print_line(f"{len(overview.answers) - most:,} more kinds of task: --limit or --task-type")
    for line in _how_things_go(overview):
        _print_line(line)


def _print_line(line: str, style: str = "") -> None:
    out.print(line, soft_wrap=False, width=WIDTH, style=style)


def _summary(found: Report) -> str:
    summary = found.summary
    rate = "n/a" if summary.success_rate is None else f"{summary.success_rate:.1%}"
    cost = "unknown" if summary.known_cost is None else f"{summary.known_cost:,.2f} USD"
    return (
        f"{summary.executions:,} executions of {summary.tasks:,} tasks, {rate} successful, "
        f"cost {cost} ({summary.unknown_costs:,} unknown), {summary.pending:,} pending; "
        f"as of {found.publication.as_of[:10]}"
    )


def _sentence(answer: TaskAnswer) -> str:
    if answer.plan.arms:
        return f"try {in_turn(answer.plan.arms)}: {figures(answer.plan)}"
    return f"not enough data: about {answer.runs_missing:,} more runs of one arm"


def _rows(answer: TaskAnswer, most: int) -> Iterator[tuple[str, ...]]:
    for arm in answer.arms[:most]:
        yield (
            name_of(arm.evidence.arm, COLUMNS["arm"]),
            success_of(arm.evidence),
            cost_of(arm.evidence),
            f"{arm.runs:,}",
            sparkline(arm.weeks),
        )


def _how_things_go(overview: Overview) -> Iterator[str]:
    yield (
        f"Last {overview.days} days (and the {overview.days} before): "
        + ", ".join(_beside(overview.now, overview.before))
    )
    if overview.stale:
        yield "Stale: " + "; ".join(map(shown, overview.stale))


def _beside(now: Period, before: Period) -> Iterator[str]:
    yield f"{now.executions:,} runs ({before.executions:,})"
    for name, value, earlier, form in (
        ("success", now.success_rate, before.success_rate, "{:.1%}"),
        ("USD a run", now.mean_cost, before.mean_cost, "{:,.2f}"),
        ("quality", now.mean_quality, before.mean_quality, "{:.0f}"),
    ):
        this, that = ("-" if one is None else form.format(one) for one in (value, earlier))
        yield f"{name} {this} ({that})"
