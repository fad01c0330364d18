"""A synthetic history of finished executions, written straight into staging and built by dbt.

    python benchmarks/history.py --home /tmp/history --executions 1000000 --texts 200000

Equal arguments give equal histories. `texts` is how many different executions there are as far as
similarity search is concerned; every execution is one of them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from report import alone

from orb_learning.errors import NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import Publication, current
from orb_learning.refresh import Refresher
from orb_learning.staging import open_staging

UNTIL = date(2026, 6, 30)
DAYS = 90
REPOS = 40
TIERS = ("small", "medium", "large")
WORDS = (  # noqa: SIM905
    "parser tokenizer cache index query retry timeout session login upload schema migration"
    " renderer scheduler worker queue socket buffer config header router client server module"
    " fixture coverage release branch review lint type import export invoice payment report"
    " dashboard chart filter search token permission"
).split()
VERBS = (  # noqa: SIM905
    "fix split rename speed-up document test revert port refactor extract inline guard"
).split()

_TIMES = """
create temp table times as
select
    *,
    routed_at + to_microseconds(cast(seconds * 1e6 as bigint)) as ended_at
from (
    select
        i,
        timestamp '1970-01-01' + to_microseconds(cast(
            epoch_us($until) - $days * 86400e6 * (hash(i, 4) / 1.8446744073709552e19) as bigint
        )) as routed_at,
        5 + 600 * pow(hash(i, 5) / 1.8446744073709552e19, 3) as seconds
    from range($executions) as numbers (i)
)
"""
"""What rows are sorted by, alone: sorting all that an execution is would take memory for it."""

_ORDERED = """
create or replace temp table ordered as
from times
where i % {recorded_share} {share}
order by {moment}
"""

_EXECUTIONS = """
with numbered as (
    select
        *,
        -- A third of the texts makes most of the executions, and each text occurs.
        case when i < $texts then i else cast(
            floor($texts * pow(hash(i, 1) / 1.8446744073709552e19, 2)) as bigint
        ) end as text
    from ordered
),

texts as (
    select
        *,
        cast(hash(text, 2) >> 1 as bigint) as h,
        cast(
            floor($repos * pow(hash(text, 3) / 1.8446744073709552e19, 2)) as bigint
        ) as repo_number
    from numbered
),

executions as (
    select
        i,
        1 as schema_version,
        ended_at,
        '{"branch": "main", "run": ' || i || '}' as metadata,
        cast(md5('task ' || i) as uuid) as task_id,
        h % 10 < 8 as success,
        round(seconds, 3) as duration_seconds,
        case when h % 3 > 0 then 40 + hash(i, 6) % 60 end as quality_score,
        round(seconds / 2000, 6) as cost_estimate,
        case when hash(i, 7) % 10 < 7 then round(seconds / 1800, 6) end as actual_cost,
        case when h % 10 >= 8
            then ['timeout', 'quality_gate', 'model_error'][1 + h % 3]
        end as error_type,
        case when h % 2 = 0
            then $verbs[1 + h % len($verbs)] || ' the ' || $words[1 + (h // 64) % len($words)]
        end as solution_summary,
        routed_at,
        routed_at as timestamp,
        ['bug_fix', 'refactor', 'feature', 'test', 'docs', 'review'][1 + (h // 7) % 6]
            as task_type,
        $verbs[1 + (h // 11) % len($verbs)] || ' the ' || $words[1 + (h // 13) % len($words)]
            || ' of the ' || $words[1 + (h // 1009) % len($words)] || ' so that the '
            || $words[1 + (h // 65537) % len($words)]
            || ' of case ' || text || ' holds' as task_description,
        'acme/service-' || repo_number as repo,
        cast(hash(i, 8) % 20 as integer) as file_count,
        cast(500 + hash(i, 9) % 8000 as integer) as estimated_tokens,
        $tiers[1 + (h // 17) % len($tiers)] as model_tier,
        ['swarm', 'hive', 'solo'][1 + (h // 19) % 3] as pool_type,
        0.5 + (h % 50) / 100 as routing_confidence,
        cast(h % 100 as integer) as complexity_score
    from texts
)
"""

_LOAD = "1 + cast(epoch({moment} - (select min(routed_at) from times)) as bigint) // 3600"
"""As if a load had run at each full hour."""

_RECORDED_SHARE = 10
"""One in so many executions came as a whole, all others as a decision and an outcome."""

_ROUTING = """
    task_type, task_description, repo, file_count, estimated_tokens, model_tier, pool_type,
    routing_confidence, complexity_score
"""

_OUTCOME = """
    success, duration_seconds, quality_score, actual_cost, error_type, solution_summary
"""

_EVENTS = {
    "routing_decision": ("routed_at", f"{_ROUTING}, cost_estimate, metadata", "!= 0"),
    "routing_outcome": ("ended_at", _OUTCOME, "!= 0"),
    "execution_recorded": (
        "ended_at",
        f"timestamp, {_ROUTING}, {_OUTCOME}, cost_estimate, metadata",
        "= 0",
    ),
}


def _insert(kind: str) -> str:
    moment, fields, _ = _EVENTS[kind]
    return f"""
        insert into raw.{kind} by name
        {_EXECUTIONS}
        select
            -- Ordered by time, as the hooks make them.
            cast(
                printf('%012x', epoch_ms({moment})) || '7' || substr(md5('{kind} ' || i), 14)
                as uuid
            ) as event_id,
            schema_version,
            {moment} as occurred_at,
            {moment} as captured_at,
            task_id,
            {fields},
            cast(md5('hash of {kind} ' || i) as uuid) as event_hash,
            {_LOAD.format(moment=moment)} as load_id
        from executions
    """


def write_history(
    home: Home,
    *,
    executions: int,
    texts: int,
    until: date,
    repos: int = REPOS,
    tiers: Sequence[str] = TIERS,
) -> None:
    """Fill an empty home's staging, as if a load had."""
    with open_staging(home) as staging:
        staging.execute("set memory_limit = '4GB'")
        staging.execute(_TIMES, {"executions": executions, "days": DAYS, "until": until})
        for kind, (moment, _, share) in _EVENTS.items():
            staging.execute(
                _ORDERED.format(recorded_share=_RECORDED_SHARE, share=share, moment=moment)
            )
            staging.execute(
                _insert(kind),
                {
                    "texts": min(texts, executions),
                    "repos": repos,
                    "tiers": list(tiers),
                    "words": WORDS,
                    "verbs": VERBS,
                },
            )
        counted = " union all ".join(f"select load_id from raw.{kind}" for kind in _EVENTS)
        staging.execute(
            f"""
            insert into ledger.loads
            select
                number, now() at time zone 'UTC', 'benchmark', count(load_id), count(load_id), 0, 0
            from range(1, (select max(load_id) + 1 from ({counted}))) as loads (number)
            left join ({counted}) as events on events.load_id = number
            group by number
            order by number
            """
        )


def build_history(
    root: Path, *, executions: int, texts: int, until: date, indexes: bool = True
) -> Publication:
    """Write a history into a home that has none, build all models, and publish."""
    home = Home(root)
    if not home.staging.exists():
        write_history(home, executions=executions, texts=texts, until=until)
    arguments = [
        "run",
        "--vars",
        f"{{as_of: '{until}', publish_past: true, indexes: {str(indexes).lower()}}}",
    ]
    with home.locked():
        Refresher(root).invoke(arguments)
    return current(home)


@dataclass(frozen=True)
class Wanted:
    """What a benchmark of reads is asked for.

    Attributes:
        folder: where histories are kept.
        sizes: executions of the histories.
        indexes: whether they have the optional indexes.
        refreshes: how often a publication is swapped under readers.
    """

    folder: Path
    sizes: Sequence[int]
    indexes: bool
    refreshes: int

    def at_most(self, *sizes: int) -> list[int]:
        """Return those sizes that are not above what is wanted; if all are, the largest wanted."""
        most = max(self.sizes)
        return [size for size in sizes if size <= most] or [most]

    def history(
        self,
        executions: int,
        texts: int,
        *,
        indexes: bool | None = None,
        fill: Callable[[Path], None] | None = None,
    ) -> Path:
        """Return the home of a history; it is built unless an earlier run has left it.

        Args:
            executions: how many.
            texts: how many different ones.
            indexes: whether it has the optional indexes; default as wanted.
            fill: adds vectors to a home; the history is then published once more.
        """
        indexed = self.indexes if indexes is None else indexes
        kind = f"{'indexed' if indexed else 'plain'}{'-embedded' if fill else ''}"
        root = self.folder / f"{executions}-{texts}-{kind}"
        build = partial(
            build_history, root, executions=executions, texts=texts, until=UNTIL, indexes=indexed
        )
        try:
            published = current(Home(root))
            is_done = not fill or bool(published.similarity["model"])
        except (NotPublishedError, KeyError):
            is_done = False
        if not is_done:
            alone(build)
            if fill:
                alone(fill, root)
                alone(build)
        return root


def some_repo(chance: random.Random) -> str:
    """Return one of the repositories."""
    return f"acme/service-{chance.randrange(REPOS)}"


def main() -> None:
    """Make one history."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--until", type=date.fromisoformat, default=UNTIL)
    parser.add_argument("--no-indexes", action="store_true")
    wanted = parser.parse_args()
    started = time.perf_counter()
    publication = build_history(
        wanted.home,
        executions=wanted.executions,
        texts=wanted.texts,
        until=wanted.until,
        indexes=not wanted.no_indexes,
    )
    print(f"{publication.rows['executions']:,} executions in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
