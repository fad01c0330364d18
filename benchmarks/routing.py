"""What advice is worth: on real runs it has not seen, and what it costs a refresh.

    python benchmarks/routing.py --write docs/benchmarks.md

Bounds that are missed are said, and end nothing. `--long` takes more seeds. Of the figures of
`orb_learning.serving` none is taken from a rule that is written here: dbt's own statements build
the evidence, and `Recommender` answers.
"""

from __future__ import annotations

import sys

from report import Part, kept_in, parts_parser, run_parts
from routing_data import RUNS
from routing_models import Wanted
from routing_refresh import warm_refresh
from routing_rows import all_arms, online, portfolios, thin
from routing_trials import bounds

from orb_learning.serving import Recommender

FEW = {"arms": 5, "portfolios": 60, "thin": 20, "online": 3}
MANY = {"arms": 20, "portfolios": 200, "thin": 100, "online": 20}
"""How often each part is run, each time with another seed."""


def by_dbt(wanted: Wanted) -> list[str]:
    """Everything by dbt and the publication, beside the statements alone."""
    tasks = wanted.tasks
    recommender = Recommender(wanted.home.root)
    differences = wanted.learner.differences(tasks)
    answers = wanted.learner.disagreements(recommender)
    shared = len(tasks.tasks) - len({task.issue for task in tasks.tasks})
    return [
        f"Task set: {len(tasks.arms)} arms (agent and model) that report a cost in half of their"
        " runs and ran 95 % of all tasks; the"
        f" {len(tasks.tasks)} tasks that all of them ran, {shared} of which share an issue with"
        f" another; {len(tasks.rows):,} runs. A cost that was not reported counts as the mean of"
        " its arm and type where an answer is scored, and nowhere else.",
        "",
        f"Imported, built and published by `dbt run`: {sum(differences.values())} rows of"
        f" {len(differences)} models differ from those that the compiled statements build alone,"
        f" as all figures below are; {answers[1]} of {answers[0]} answers of `Recommender` differ"
        " from `routing_recommendations` and `escalation_plans`.",
    ]


def refresh(wanted: Wanted) -> list[str]:
    """What the models cost a warm refresh."""
    found, lines = warm_refresh(wanted.folder, wanted.sizes)
    return [*found, "", *bounds(lines)]


PARTS: dict[str, Part] = {
    "dbt": ("The task set, and dbt itself", by_dbt),
    "arms": ("All arms", all_arms),
    "portfolios": ("Portfolios", portfolios),
    "thin": ("Thin logs", thin),
    "online": ("Online", online),
    "refresh": ("What the models cost a warm refresh", refresh),
}


def main() -> int:
    """Parse the command line."""
    parser = parts_parser(__doc__, PARTS, [1_000_000])
    parser.add_argument("--long", action="store_true", help="many more seeds; takes hours")
    given = parser.parse_args()
    if not RUNS.exists() and given.parts != ["refresh"]:
        print(f"the real runs are not part of the project; put them into {RUNS.parent}")
        return 2
    with kept_in(given.folder) as folder:
        wanted = Wanted(folder, given.sizes, MANY if given.long else FEW)
        run_parts("routing", PARTS, wanted, given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
