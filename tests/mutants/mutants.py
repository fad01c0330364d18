"""Bugs that the suite must see: each one a text of the project and what to put in its place.

An old text must be found exactly once in its file; when code changes, change it here too.
"""

from __future__ import annotations

from dataclasses import dataclass

LOADER = "ingest/orb_learning/staging/_loader.py"
COMMIT = "ingest/orb_learning/staging/_commit.py"
BATCH = "ingest/orb_learning/staging/_batch.py"
CANONICAL = "ingest/orb_learning/staging/_canonical.py"
SEGMENTS = "ingest/orb_learning/spool/_segments.py"
PUBLICATION = "ingest/orb_learning/publication/_publish.py"
ERASURE = "ingest/orb_learning/staging/_erasure.py"
NAMING = "ingest/orb_learning/staging/_subjects.py"
PLUGIN = "ingest/orb_learning/dbt_plugin.py"

STAGING_TESTS = ("tests/python/staging/test_loader.py", "tests/python/staging/test_bad_lines.py")
AGREEMENT_TESTS = (
    "tests/python/staging/test_duckdb_and_python_agree.py",
    "-k",
    "odd_values_in_any_place",
)
CRASH_TESTS = ("tests/python/staging/test_load_crashes.py",)
PUBLICATION_TESTS = ("tests/python/publication/test_publish.py",)
DBT_TESTS = ("tests/python/models/test_dbt_is_the_job.py",)
ERASURE_TESTS = ("tests/python/upkeep/test_erasure.py",)
USERS = ("tests/python/upkeep/test_users.py",)
LATE = ("tests/machine/test_late_events.py",)
EQUALITY = ("tests/python/models/test_incremental_equals_full_refresh.py",)
ATTEMPTS = ("tests/machine/test_attempts.py",)
RUNS = ("tests/python/models/test_attempts.py",)
WINDOWS = ("tests/machine/test_windows.py",)
MACHINE = ("tests/machine/test_machine.py", "-k", "recorded_statements")
EDGES = ("tests/python/models/test_edges.py",)
READERS = ("tests/python/serving/test_edges.py",)
RETENTION = ("tests/python/upkeep/test_retention.py",)
QUARANTINE = ("tests/python/staging/test_quarantine.py",)
EMBEDDINGS = ("tests/python/embeddings/test_embed.py",)
ROUTING = ("tests/python/models/test_routing.py", "-x")
RECOMMENDER = ("tests/python/serving/test_recommender.py", "-x")


@dataclass(frozen=True)
class Mutant:
    """One bug.

    Attributes:
        name: what is wrong, as a sentence.
        path: the file, from the root of the checkout.
        old: the text that is right; stands exactly once in the file.
        new: the text that is wrong.
        tests: what pytest runs, the cheapest part of the suite that should fail.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    # -- loading ----------------------------------------------------------------------------
    Mutant(
        "events that an earlier load brought are loaded again",
        COMMIT,
        "on raw.event_id = batch.event_id and raw.event_hash = batch.event_hash\n",
        "on false\n",
        STAGING_TESTS,
    ),
    Mutant(
        "events that stand twice in one load are loaded twice",
        COMMIT,
        "        group by event_id, event_hash\n",
        "        group by event_id, event_hash, position\n",
        STAGING_TESTS,
    ),
    Mutant(
        "the ledger is written outside the transaction of the rows",
        COMMIT,
        """        write_ledger(connection, batch, report)
        crash_point("load.noted")
""",
        """        connection.execute("commit")
        crash_point("load.noted")
        connection.execute("begin")
        write_ledger(connection, batch, report)
""",
        CRASH_TESTS,
    ),
    Mutant(
        "a refused line is counted and not kept",
        "ingest/orb_learning/staging/_refusals.py",
        "    if rows:\n        _insert_quarantined(",
        "    if False:\n        _insert_quarantined(",
        STAGING_TESTS,
    ),
    Mutant(
        "a line with a fault is passed over in silence",
        BATCH,
        "            self.refuse(line, place, line.fault)\n            return\n",
        "            self.segments[place.segment].lines -= 1\n            return\n",
        STAGING_TESTS,
    ),
    Mutant(
        "the torn tail of a dead writer is taken for a line",
        SEGMENTS,
        'yield Line(offset, length, kept, "torn: the segment ends within this line")',
        "yield _line(offset, length, kept)",
        STAGING_TESTS,
    ),
    Mutant(
        "the half line of a living writer is taken for torn",
        SEGMENTS,
        "if length and self.is_sealed and end == self.size:",
        "if length and end == self.size:",
        STAGING_TESTS,
    ),
    Mutant(
        "a segment counts as complete while its writer lives",
        LOADER,
        "progress.is_complete = segment.is_sealed and progress.read_to >= segment.size",
        "progress.is_complete = progress.read_to >= segment.size",
        STAGING_TESTS,
    ),
    Mutant(
        "a number is spelled as DuckDB spells it",
        CANONICAL,
        'Fraction: "({x} = 0 or {x} between 1e-4 and 1)"',
        'Fraction: "{x} between 0 and 1"',
        AGREEMENT_TESTS,
    ),
    Mutant(
        "a key may stand twice in metadata",
        CANONICAL,
        " or len(list_distinct(json_keys({x}))) = len(json_keys({x})))",
        " or len(json_keys({x})) > 0)",
        AGREEMENT_TESTS,
    ),
    # -- models -----------------------------------------------------------------------------
    Mutant(
        "the watermark skips the load that came next",
        "macros/changed_tasks.sql",
        "(select coalesce(max(load_id), 0) from {{ target }})",
        "(select coalesce(max(load_id), 0) + 1 from {{ target }})",
        MACHINE,
    ),
    Mutant(
        "the newest load that attempts hold is one too new",
        "macros/changed_tasks.sql",
        "'select coalesce(max(load_id), 0) as",
        "'select coalesce(max(load_id), 0) + 1 as",
        MACHINE,
    ),
    Mutant(
        "the watermark is the events' own clock",
        "models/intermediate/int_attempts.sql",
        "        task_id in (select task_id from changed)\n        and load_id",
        "        occurred_at >= (select max(coalesce(ended_at, decided_at)) from {{ this }})\n"
        "        and load_id",
        LATE,
    ),
    Mutant(
        "the search for a task's events begins after the first of them",
        "models/intermediate/int_attempts.sql",
        "and load_id >= {{ first_load_of_changed(",
        "and load_id > {{ first_load_of_changed(",
        LATE,
    ),
    Mutant(
        "rows that a task no longer has stay",
        "macros/strategies/replace_tasks.sql",
        "    where {{ config.require('task_key') }} in (",
        "    where false and {{ config.require('task_key') }} in (",
        LATE,
    ),
    Mutant(
        "the search for a task's old rows begins after the first of them",
        "macros/changed_tasks.sql",
        "coalesce(min(first_load_id), ' ~ otherwise",
        "coalesce(max(load_id), ' ~ otherwise",
        LATE,
    ),
    Mutant(
        "old rows of new tasks are looked for everywhere",
        "macros/strategies/replace_tasks.sql",
        "\n        and load_id >= {{ oldest }};",
        ";",
        ("tests/python/models/test_counted_work.py",),
    ),
    Mutant(
        "the day that a row has left stays as it was",
        "macros/strategies/replace_days.sql",
        "            and current_days.fingerprint = held.day_fingerprint\n",
        "",
        MACHINE,
    ),
    Mutant(
        "the day that a row has left is not built again",
        "macros/strategies/replace_days.sql",
        "            and held.day_fingerprint = current_days.fingerprint\n",
        "",
        MACHINE,
    ),
    Mutant(
        "a day that only gained what another lost looks the same",
        "macros/engine/duckdb/dialect.sql",
        "hash({{ values | join(', ') }})",
        "hash({{ values | first }})",
        MACHINE,
    ),
    Mutant(
        "a mart labels its days in its own way",
        "macros/day_fingerprint.sql",
        "'max(max(' ~ load_id ~ '))' ~ by_date",
        "'max(max(' ~ load_id ~ '))' ~ by_date ~ ' + 1'",
        ("tests/python/models/test_counted_work.py",),
    ),
    Mutant(
        "what has aged out of the window stays",
        "macros/strategies/replace_days.sql",
        "    where {{ within_window(day, window) }}\n",
        "",
        WINDOWS,
    ),
    Mutant(
        "the window is a day short",
        "macros/as_of.sql",
        "modules.datetime.timedelta(days=length)",
        "modules.datetime.timedelta(days=length - 1)",
        MACHINE,
    ),
    Mutant(
        "a pattern that lost its uses stays",
        "models/marts/solution_patterns.sql",
        "    having sum(usage_count) >= {{ pattern_min_uses() }}\n",
        "",
        WINDOWS,
    ),
    Mutant(
        "events of one moment come in any order",
        "models/intermediate/int_attempts.sql",
        "                captured_at,\n                event_id,\n                event_hash\n",
        "                1\n",
        LATE,
    ),
    Mutant(
        "what a person said counts least",
        "macros/task_events.sql",
        "('feedback', 7, 'stg_feedback'",
        "('feedback', 0, 'stg_feedback'",
        LATE,
    ),
    Mutant(
        "a later feedback does not replace an earlier one",
        "models/marts/feedback.sql",
        "order by occurred_at desc, captured_at desc",
        "order by occurred_at, captured_at desc",
        LATE,
    ),
    Mutant(
        "feedback skips the load that came next",
        "models/marts/feedback.sql",
        "{{ changed_tasks(this, ref('stg_feedback'), 'feedback_id') }}",
        "select feedback_id from {{ ref('stg_feedback') }}"
        " where load_id > (select coalesce(max(load_id), 0) + 1 from {{ this }})",
        LATE,
    ),
    Mutant(
        "every second decision opens an attempt",
        "models/intermediate/int_attempts.sql",
        "and (last_outcome > last_decision or",
        "and (last_decision is not null or",
        LATE,
    ),
    Mutant(
        "a task with two events of one type is joined like a plain one",
        "macros/full_build.sql",
        "count(*) = bit_count(",
        "count(*) >= bit_count(",
        LATE,
    ),
    Mutant(
        "a full build forgets the tasks whose events lie in several parts",
        "macros/full_build.sql",
        "for share in range(shares)",
        "for share in range(0)",
        EQUALITY,
    ),
    Mutant(
        "a full build commits between its parts",
        "macros/full_build.sql",
        "        {%- do run_query(enter_part(part)) -%}\n",
        "        {%- do run_query('commit') -%}{%- do run_query('begin') -%}\n"
        "        {%- do run_query(enter_part(part)) -%}\n",
        ("tests/python/models/test_full_build.py",),
    ),
    Mutant(
        "a table is dropped before its successor is known to be made",
        "macros/engine/duckdb/in_place.sql",
        "            drop {{ existing.type }} if exists {{ existing }}\n        {%- endcall %}\n",
        "            drop {{ existing.type }} if exists {{ existing }}\n        {%- endcall %}\n"
        "        {%- do adapter.commit() -%}\n",
        ("tests/python/models/test_engine.py",),
    ),
    Mutant(
        "rows are put into a table whatever its columns are",
        "macros/engine/duckdb/schema_changes.sql",
        "        where built.columns != made.columns\n",
        "        where false\n",
        ("tests/python/models/test_engine.py",),
    ),
    Mutant(
        "the lock is given back while the files are open",
        "ingest/orb_learning/dbt_plugin.py",
        "        self._releases.detach()\n",
        "        return\n",
        ("tests/python/models/test_dbt_is_the_job.py",),
    ),
    Mutant(
        "a copied warehouse is copied again at once",
        "ingest/orb_learning/warehouse.py",
        "        or is_resting\n",
        "",
        ("tests/python/test_warehouse.py",),
    ),
    Mutant(
        "an unknown cost counts as zero",
        "models/marts/executions.sql",
        "coalesce(actual_cost, cost_estimate) as known_cost",
        "coalesce(actual_cost, cost_estimate, 0) as known_cost",
        LATE,
    ),
    Mutant(
        "an erasure forgets what came after it",
        ERASURE,
        "    _mark_lines(connection, batch, erased | tasks)\n",
        "",
        ERASURE_TESTS,
    ),
    Mutant(
        "an erasure that is killed is thought to be done",
        ERASURE,
        "from ledger.erasures where not is_applied limit 1",
        "from ledger.erasures where false limit 1",
        ERASURE_TESTS,
    ),
    Mutant(
        "a log that is older than its file is believed",
        "ingest/orb_learning/staging/_file.py",
        "            return not faults(connection)\n",
        "            return True\n",
        ("tests/python/staging/test_recovery.py",),
    ),
    Mutant(
        "a restored backup brings back what was erased",
        "ingest/orb_learning/upkeep/_backup.py",
        "                _keep_erasures(connection, erased)\n",
        "",
        ERASURE_TESTS,
    ),
    Mutant(
        "an event that only mentions somebody is blanked",
        NAMING,
        "    if isinstance(kind, str) and kind in EVENT_TYPES:\n",
        "    if isinstance(kind, str) and kind in ():\n",
        (*ERASURE_TESTS, "-k", "mentions"),
    ),
    Mutant(
        "a user whose id was masked is not found",
        "ingest/orb_learning/upkeep/_tombstones.py",
        "for form in _forms(user)}\n",
        "for form in ()}\n",
        (*ERASURE_TESTS, "-k", "wherever"),
    ),
    Mutant(
        "the places in a segment that cannot be written are forgotten",
        "ingest/orb_learning/upkeep/_erasure.py",
        "    ids = [identity for name in going.keys() - left for",
        "    ids = [identity for name in going.keys() for",
        (*ERASURE_TESTS, "-k", "tried_again"),
    ),
    Mutant(
        "a reset forgets what was erased",
        "ingest/orb_learning/upkeep/_schema.py",
        "        tell_again(home, erased)\n",
        "",
        ("tests/python/upkeep/test_backup.py", "-k", "forgets"),
    ),
    # -- publishing -------------------------------------------------------------------------
    Mutant(
        "a publication's new rows are counted and not compared",
        "ingest/orb_learning/publication/_update.py",
        "select sum(hash(hash({keyed.key}, load_id)))",
        "select count({keyed.key})",
        ("tests/python/publication/test_update.py",),
    ),
    Mutant(
        "a run with a failed node is published",
        PLUGIN,
        "for node, status in statuses.items() if status not in DONE",
        "for node, status in statuses.items() if not status",
        (*DBT_TESTS, "-k", "failed_node"),
    ),
    Mutant(
        "a partial run is published",
        PLUGIN,
        "    missing = sorted(set(expected) - statuses.keys())\n",
        "    missing: list[str] = []\n",
        (*DBT_TESTS, "-k", "not_a_whole_run"),
    ),
    Mutant(
        "a day before the publication's replaces it",
        PLUGIN,
        'if not reason and outcome["keeps_later"]:',
        "if not reason and not outcome:",
        ("tests/python/models/test_as_of.py", "-k", "earlier_day"),
    ),
    Mutant(
        "what a run did not build is published",
        PLUGIN,
        '                tables=outcome["tables"],\n',
        "",
        ("tests/python/models/test_as_of.py", "-k", "did_not_build"),
    ),
    Mutant(
        "a copy becomes current without being counted",
        PUBLICATION,
        "        _verify(making / DATABASE, rows)\n",
        "",
        (*PUBLICATION_TESTS, "-k", "short_copy"),
    ),
    Mutant(
        "a publication is renamed before its files are synced",
        PUBLICATION,
        """            sync(file)
            file.chmod(0o400)
        sync(making)
        crash_point("publish.synced")
        making.rename(home.published / identity)
""",
        """            file.chmod(0o400)
        crash_point("publish.synced")
        making.rename(home.published / identity)
        for file in (home.published / identity).iterdir():
            sync(file)
        sync(home.published / identity)
""",
        (*PUBLICATION_TESTS, "-k", "on_disk_before"),
    ),
    Mutant(
        "the link to the current publication is removed and made again",
        "ingest/orb_learning/publication/_swap.py",
        "    with replacing(link) as fresh:\n        fresh.symlink_to(target)\n",
        "    link.unlink(missing_ok=True)\n    link.symlink_to(target)\n",
        (*PUBLICATION_TESTS, "-k", "after_every_step"),
    ),
    Mutant(
        "the decision that an outcome names is not asked for",
        "models/intermediate/int_attempts.sql",
        "when own_decision is not null then own_decision",
        "when false then own_decision",
        ATTEMPTS,
    ),
    Mutant(
        "quick attempts are told by their clocks alone",
        "models/intermediate/int_attempts.sql",
        "and events_of_its_kind = decisions\n",
        "and false\n",
        ATTEMPTS,
    ),
    Mutant(
        "the correction of a run counts beside it",
        "models/intermediate/int_attempts.sql",
        "        routed_at is null\n        or row_number()",
        "        true\n        or row_number()",
        RUNS,
    ),
    Mutant(
        "whole executions of one attempt fill each other's gaps",
        "models/intermediate/int_attempts.sql",
        "        event_type != 'execution_recorded'\n",
        "        true\n",
        LATE,
    ),
    Mutant(
        "runs with another beginning are one attempt",
        "models/intermediate/int_attempts.sql",
        " or begun_runs > 0)",
        ")",
        RUNS,
    ),
    Mutant(
        "the least specific event says a key of the metadata",
        "macros/engine/duckdb/dialect.sql",
        "{%- for value in values | reverse %}",
        "{%- for value in values %}",
        RUNS,
    ),
    Mutant(
        "a hook names the decision of another task",
        "ingest/orb_learning/capture/_build.py",
        ".int == decision.task_id.int",
        ".int != decision.task_id.int",
        RUNS,
    ),
    Mutant(
        "a flag of success wins over one of failure",
        "ingest/orb_learning/_success.py",
        "for meaning in (FAILURE, UNFINISHED, SUCCESS):",
        "for meaning in (SUCCESS, UNFINISHED, FAILURE):",
        ("tests/python/test_success.py",),
    ),
    Mutant(
        "a word that nobody knows is a success",
        "ingest/orb_learning/_success.py",
        "        if unknown:\n",
        "        if False:\n",
        ("tests/python/test_status_words.py",),
    ),
    Mutant(
        "a score between 0 and 1 is rounded",
        "ingest/orb_learning/capture/_misfits.py",
        "    if 0 < number < 1:\n",
        "    if False:\n",
        ("tests/python/test_misfits.py",),
    ),
    Mutant(
        "a watched host's score is read twice",
        "ingest/orb_learning/capture/_recorder.py",
        "self._once_read if is_read else self.reading",
        "self.reading",
        ("tests/python/test_misfits.py",),
    ),
    Mutant(
        "rows are recorded before the scale of their scores is known",
        "ingest/orb_learning/importer/_survey.py",
        "if self.quality_scale != 1 and self.has_fraction and self.best <= 1:",
        "if False:",
        ("tests/python/test_importer.py",),
    ),
    # -- edges, defaults and order ----------------------------------------------------------
    Mutant(
        "a load takes more once it has just as many bytes as it may",
        LOADER,
        "batch.size >= MAX_LOAD_BYTES",
        "batch.size > MAX_LOAD_BYTES",
        (*STAGING_TESTS, "-k", "just_as_many"),
    ),
    Mutant(
        "a segment has only the bad lines of its last load",
        "ingest/orb_learning/staging/_ledger.py",
        "quarantined = segments.quarantined + excluded.quarantined",
        "quarantined = excluded.quarantined",
        (*STAGING_TESTS, "-k", "add_up"),
    ),
    Mutant(
        "quarantine of one load is listed by place alone",
        "ingest/orb_learning/staging/_quarantine.py",
        "order by load_id desc, captured_at desc, segment desc, byte_offset desc",
        "order by load_id desc, byte_offset desc",
        QUARANTINE,
    ),
    Mutant(
        "a replay forgets the duplicates that a segment had",
        "ingest/orb_learning/staging/_replay.py",
        "set loaded = loaded + ?, duplicates = duplicates + ?",
        "set loaded = loaded + ?, duplicates = ?",
        QUARANTINE,
    ),
    Mutant(
        "a floor of the newest load's day is yet to come",
        "ingest/orb_learning/staging/_floor.py",
        "floor > today:",
        "floor >= today:",
        (*RETENTION, "-k", "not_yet_to_come"),
    ),
    Mutant(
        "executions stay as long as their raw events",
        "ingest/orb_learning/upkeep/_retention.py",
        "day - timedelta(days=derived_days)",
        "day - timedelta(days=raw_days)",
        (*RETENTION, "-k", "days_of_its_own"),
    ),
    Mutant(
        "a pool goes with its first closing",
        "ingest/orb_learning/upkeep/_retention.py",
        "having cast(max(occurred_at) as date) < date '{first_day}')",
        "having cast(min(occurred_at) as date) < date '{first_day}')",
        (*RETENTION, "-k", "last_closing"),
    ),
    Mutant(
        "what is blanked is not forced to the disk",
        "ingest/orb_learning/spool/_redaction.py",
        "            os.fsync(fd)\n",
        "            pass\n",
        (*ERASURE_TESTS, "-k", "on_disk"),
    ),
    Mutant(
        "a rewritten staging file is renamed and its directory not forced to the disk",
        "ingest/orb_learning/staging/_file.py",
        "    sync(home.root)\n",
        "    pass\n",
        (*ERASURE_TESTS, "-k", "on_disk"),
    ),
    Mutant(
        "the first day that is kept goes too",
        "macros/is_retained.sql",
        "as date) >= (",
        "as date) > (",
        ("tests/python/models/test_removals.py", "-k", "pruned"),
    ),
    Mutant(
        "a solution with just the least uses is no pattern",
        "models/marts/solution_patterns.sql",
        "having sum(usage_count) >= ",
        "having sum(usage_count) > ",
        EDGES,
    ),
    Mutant(
        "tries just within the skew are told by their clocks",
        "models/intermediate/int_attempts.sql",
        ") }} <= 2 * {{ max_clock",
        ") }} < 2 * {{ max_clock",
        EDGES,
    ),
    Mutant(
        "an outcome at the moment of its start took nobody knows how long",
        "models/marts/executions.sql",
        "attempts.started_at <= attempts.ended_at",
        "attempts.started_at < attempts.ended_at",
        EDGES,
    ),
    Mutant(
        "a complexity that nobody said is none",
        "models/marts/executions.sql",
        "coalesce(complexity_score, 50)",
        "coalesce(complexity_score, 0)",
        EDGES,
    ),
    Mutant(
        "of what was said twice at one moment any counts",
        "models/marts/solutions.sql",
        "order by occurred_at desc, captured_at desc",
        "order by occurred_at desc, captured_at",
        EDGES,
    ),
    Mutant(
        "an earlier closing says why a pool was closed last",
        "models/marts/pools.sql",
        "when closed_at is not null and recency = 1 then",
        "when closed_at is not null then",
        EDGES,
    ),
    Mutant(
        "a reader's window ends today",
        "ingest/orb_learning/serving/_arguments.py",
        "last = date.fromisoformat(publication.as_of[:10])",
        "last = date.today()",
        READERS,
    ),
    Mutant(
        "a reader's window is a day short",
        "ingest/orb_learning/serving/_learning.py",
        "and date >= date",
        "and date > date",
        READERS,
    ),
    Mutant(
        "a reader of pools gets as many days as one of tiers",
        "ingest/orb_learning/serving/_learning.py",
        "days_back: int = 7\n",
        "days_back: int = 30\n",
        READERS,
    ),
    Mutant(
        "tiers that did the same come in any order",
        "ingest/orb_learning/serving/_marts.py",
        "repo, model_tier, task_type",
        "repo, model_tier",
        READERS,
    ),
    Mutant(
        "what is just as similar as asked for is left out",
        "ingest/orb_learning/serving/_similarity.py",
        "cosine >= threshold",
        "cosine > threshold",
        ("tests/python/serving/test_similarity.py", "-k", "just_as_similar"),
    ),
    Mutant(
        "a limit takes the texts that were used longest ago",
        "ingest/orb_learning/embeddings/_store.py",
        "order by newest desc, content_hash limit",
        "order by newest, content_hash limit",
        (*EMBEDDINGS, "-k", "limit_takes"),
    ),
    Mutant(
        "the first repository by name is the commonest",
        "ingest/orb_learning/embeddings/_publish.py",
        "order by count(*) desc, repo limit 1",
        "order by repo limit 1",
        (*EMBEDDINGS, "-k", "commonest"),
    ),
    Mutant(
        "the next embedding run waits a moment too long",
        "ingest/orb_learning/refresh/_embedder.py",
        "time.monotonic() < self._not_before",
        "time.monotonic() <= self._not_before",
        ("tests/python/refresh/test_scheduler.py", "-k", "never_stops"),
    ),
    Mutant(
        "a mebibyte has a thousand kibibytes",
        "ingest/orb_learning/capture/_execution.py",
        "else 1024)",
        "else 1000)",
        ("tests/python/capture/test_execution.py", "-k", "mebibytes"),
    ),
    Mutant(
        "metadata win over what an earlier source said beside them",
        "ingest/orb_learning/capture/_adapt.py",
        "rest = {**(value if isinstance(value, Mapping) else {key: value}), **rest}",
        "rest = {**rest, **(value if isinstance(value, Mapping) else {key: value})}",
        ("tests/python/capture/test_adapt.py", "-k", "said_first"),
    ),
    # -- erased users, spills, locks and imports ---------------------------------------------
    Mutant(
        "a user's feedback takes another's task along",
        "ingest/orb_learning/staging/_owners.py",
        "if not users or kind == Feedback.type_name:",
        "if not users:",
        USERS,
    ),
    Mutant(
        "the outcomes of a user's tasks are not left out",
        ERASURE,
        "_mark_lines(connection, batch, erased | tasks)",
        "_mark_lines(connection, batch, erased)",
        USERS,
    ),
    Mutant(
        "late lines of somebody erased stay in the spool",
        "ingest/orb_learning/staging/_commit.py",
        "        blank_lines(connection, home, batch, erased, refused)\n",
        "",
        USERS,
    ),
    Mutant(
        "an erasure that finds nothing drops the warehouse",
        ERASURE,
        "where not is_applied and load_id > 0 limit 1",
        "where not is_applied limit 1 offset 0",
        USERS,
    ),
    Mutant(
        "an e-mail address in capitals is another user",
        "ingest/orb_learning/_types.py",
        "compatible.casefold()",
        "compatible",
        USERS,
    ),
    Mutant(
        "a torn feedback takes another's task along",
        NAMING,
        'if item.last("event_type") == Feedback.type_name:',
        "if False:",
        USERS,
    ),
    Mutant(
        "a blanked line that is shorter than what it says is bad",
        BATCH,
        '(line != b"" and ERASED.startswith(line))',
        "False",
        ("tests/python/upkeep/test_discard.py", "tests/python/upkeep/test_blanked_lines.py"),
    ),
    Mutant(
        "a line is marked as erased before all of it is blank",
        "ingest/orb_learning/spool/_redaction.py",
        "for start in reversed(range(offset, end, _BLOCK)):",
        "for start in range(offset, end, _BLOCK):",
        (*ERASURE_TESTS, "-k", "said_to_be_blank"),
    ),
    Mutant(
        "what is discarded stays in the spool",
        "ingest/orb_learning/upkeep/_discard.py",
        "if not blank_segment(home.spool / name, 0, places, lambda _: False):",
        "if False:",
        ("tests/python/upkeep/test_discard.py",),
    ),
    Mutant(
        "others may read what DuckDB spills",
        "ingest/orb_learning/_spill.py",
        "self.path.mkdir(mode=0o700)",
        "self.path.mkdir(mode=0o755)",
        ("tests/python/test_spill.py",),
    ),
    Mutant(
        "whoever gives the lock back has it again before who waits",
        "ingest/orb_learning/_locks.py",
        "if not self._holds and (has_turn or not self._turn):",
        "if not self._holds:",
        ("tests/python/test_home.py",),
    ),
    Mutant(
        "a file without a field that every run needs goes to quarantine row by row",
        "ingest/orb_learning/importer/_survey.py",
        "if not filled & keys]",
        "if False]",
        ("tests/python/test_importer.py", "-k", "refused_once"),
    ),
    Mutant(
        "equal rows without a task are one task",
        "ingest/orb_learning/importer/_importing.py",
        "self.tasks[content] += 1",
        "self.tasks[content] = 1",
        ("tests/python/test_import_mapping.py", "-k", "tasks_of_their_own"),
    ),
    Mutant(
        "a later attempt is a first try",
        "models/intermediate/int_arm_days.sql",
        "count(*) filter (where attempt = 1) as first_tries",
        "count(*) as first_tries",
        ROUTING,
    ),
    Mutant(
        "an estimate is a cost",
        "models/intermediate/int_arm_days.sql",
        "count(*) filter (where cost_source = 'reported') as costed",
        "count(*) filter (where cost_source != 'unknown') as costed",
        ROUTING,
    ),
    Mutant(
        "one absurd cost decides what an arm costs",
        "models/intermediate/int_arm_sums.sql",
        "days.cost_max > {{ cost_outlier() }}",
        "days.cost_max > 1e12 * {{ cost_outlier() }}",
        ROUTING,
    ),
    Mutant(
        "runs count alike, whatever their age",
        "models/intermediate/int_arm_sums.sql",
        "cast(round(1e9 * {{ evidence_weight('date') }}) as bigint)",
        "1000000000",
        ROUTING,
    ),
    Mutant(
        "all runs together are said to be worth what the average arm is",
        "models/intermediate/int_arm_success.sql",
        "* max(mix.share)",
        "* max(overall.share)",
        ROUTING,
    ),
    Mutant(
        "an arm that was sent the hard tasks is worse for it",
        "models/intermediate/int_arm_success.sql",
        "- {{ reproducible_sum('types.weighted_tries * type_shares.share') }}",
        "- {{ reproducible_sum('types.weighted_tries') }} * max(mix.share)",
        ROUTING,
    ),
    Mutant(
        "a repository leans on nothing",
        "models/intermediate/int_arm_success.sql",
        "usual=0.005, least=0.0025",
        "usual=0.3, least=0.3",
        ROUTING,
    ),
    Mutant(
        "a gain that may be chance counts",
        "models/intermediate/int_arm_choices.sql",
        "gain - 0.5 * gain_sd",
        "gain",
        ROUTING,
    ),
    Mutant(
        "the reference is an arm that may be good",
        "models/intermediate/int_arm_choices.sql",
        "{{ ranked('utility - sqrt(utility_variance)') }} desc,\n        {{ ranked('cost') }} asc",
        "{{ ranked('utility') }} desc,\n        {{ ranked('cost') }} asc",
        ROUTING,
    ),
    Mutant(
        "of references of one worth the dearer is taken",
        "models/intermediate/int_arm_choices.sql",
        "        {{ ranked('cost') }} asc,\n        arm asc\n    limit 1",
        "        {{ ranked('cost') }} desc,\n        arm asc\n    limit 1",
        ROUTING,
    ),
    Mutant(
        "a retry that was decided before the failure was one after it",
        "models/intermediate/int_arm_retries.sql",
        "        and retries.timestamp >= failed.ended_at\n",
        "",
        ROUTING,
    ),
    Mutant(
        "what an arm does after a success counts as after a failure",
        "models/intermediate/int_arm_retries.sql",
        "        and not failed.success\n",
        "",
        ROUTING,
    ),
    Mutant(
        "a large group is more evidence than a small one",
        "models/intermediate/int_arm_group_pairs.sql",
        "1.0 / (sizes.arms * (sizes.arms - 1)) as weight",
        "1.0 as weight",
        ROUTING,
    ),
    Mutant(
        "a third arm is told only of the first that failed",
        "models/marts/escalation_plans.sql",
        "third_after_second.success",
        "third_after_first.success",
        ROUTING,
    ),
    Mutant(
        "a plan is taken for cheaper than it is",
        "models/marts/escalation_plans.sql",
        "1.15 * greatest(",
        "1.15 * least(",
        ROUTING,
    ),
    Mutant(
        "an advice without a plan has bounds",
        "macros/evidence.sql",
        "        when {{ share }} is null then cast(null as double)\n",
        "",
        ROUTING,
    ),
    Mutant(
        "an arm whose costs have no weight left can be recommended",
        "models/marts/arm_evidence.sql",
        "means.cost is not null\n        and ",
        "",
        ROUTING,
    ),
    Mutant(
        "in Python a gain that may be chance counts",
        "ingest/orb_learning/serving/_choice.py",
        "SURE = 0.5",
        "SURE = 0.0",
        ROUTING,
    ),
    Mutant(
        "in Python the dearer of two alike is taken",
        "ingest/orb_learning/serving/_choice.py",
        "return ranked(arm.cost or 0.0), arm.arm",
        "return -ranked(arm.cost or 0.0), arm.arm",
        ROUTING,
    ),
    Mutant(
        "an explored arm is said to have been sure",
        "ingest/orb_learning/serving/_recommender.py",
        "shares[chosen] = shares.get(chosen, 0.0) + 1 - explore",
        "shares[chosen] = 1.0",
        RECOMMENDER,
    ),
)
