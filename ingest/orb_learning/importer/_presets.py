"""What the files of other tools hold, as data: where their rows are, and which field is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orb_learning.errors import ImportFileError
from orb_learning.importer._paths import WHOLE


@dataclass(frozen=True, slots=True)
class Preset:
    """How the files of one tool are read.

    Attributes:
        name: what `import --from` calls it.
        files: which of the tool's files these are.
        written_from: the public schema, as repository, path and commit.
        tried: which real export was read; empty if none was.
        maps: `FIELD=SOURCE` expressions; of several for one field, a row takes the first it has.
        say: what every run needs and the files do not tell.
        rows: the path to the rows within a JSON object; one that has none there is a row itself.
        assume_utc: whether times without an offset are read as UTC.
        words: the tool's own status words, with whether they say success.
        quality_scale: the best quality score, 1 or 100.
        left_out: columns that are not kept, for they hold whole conversations or logs.
        says_nothing: of a field, the values that mean there is none.
    """

    name: str
    files: str
    written_from: tuple[str, ...]
    maps: tuple[str, ...]
    say: tuple[str, ...] = ()
    tried: str = ""
    rows: str = WHOLE
    assume_utc: bool = False
    words: Mapping[str, bool] = field(default_factory=dict)
    quality_scale: int = 100
    left_out: tuple[str, ...] = ()
    says_nothing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_LANGFUSE_WORDS = {"DEFAULT": True, "DEBUG": True, "WARNING": True, "ERROR": False}

_PRESETS = (
    Preset(
        name="langfuse-observations",
        files="exported observations of type GENERATION, as JSON, JSON lines or CSV",
        written_from=(
            "langfuse/langfuse worker/src/features/database-read-stream/observation-stream.ts"
            " 03b77af",
            "langfuse/langfuse packages/shared/src/server/repositories/observations_converters.ts"
            " 010ff92",
        ),
        maps=(
            "task_id=id",
            "timestamp=startTime",
            # The file's own latency is in milliseconds here and in seconds in traces.
            "duration_seconds=endTime - startTime",
            "task_type=name",
            "task_type=type",
            "repo=projectId",
            "model_tier=model",
            "success=level",
            "error_message=statusMessage",
            "actual_cost=totalCost",
            "user_id=userId",
        ),
        rows="data",
        words=_LANGFUSE_WORDS,
        left_out=("input", "output"),
    ),
    Preset(
        name="langfuse-traces",
        files="exported traces, as JSON, JSON lines or CSV",
        written_from=(
            "langfuse/langfuse worker/src/features/database-read-stream/trace-stream.ts 0e72976",
        ),
        maps=(
            "task_id=id",
            "timestamp=timestamp",
            "duration_seconds=latency",
            "task_type=name",
            "task_type='trace'",
            "success=level",
            "actual_cost=totalCost",
            "user_id=userId",
        ),
        say=("repo", "model_tier"),
        rows="data",
        words=_LANGFUSE_WORDS,
        left_out=("input", "output"),
    ),
    Preset(
        name="mlflow",
        files="runs as `mlflow experiments csv` or `search_runs` and `to_csv` write them",
        written_from=(
            "mlflow/mlflow mlflow/tracking/fluent.py 002518a",
            "mlflow/mlflow mlflow/experiments.py 00959a6",
            "mlflow/mlflow mlflow/utils/mlflow_tags.py 05ee81e",
        ),
        maps=(
            "task_id=run_id",
            "timestamp=start_time",
            "duration_seconds=end_time - start_time",
            "task_type=experiment {experiment_id}",
            "repo=tags.mlflow.source.git.repoURL",
            "repo=tags.mlflow.source.name",
            # What hosts log by custom, not by MLflow's schema.
            "model_tier=params.model",
            "model_tier=params.model_name",
            "success=status",
            "task_description=tags.mlflow.note.content",
            "user_id=tags.mlflow.user",
        ),
        say=("model_tier",),
        tried="three runs of MLflow 2.22.5, written by `search_runs` and `to_csv`",
    ),
    Preset(
        name="openhands",
        files="`output.jsonl` with the report of an evaluation, and `output.swebench_eval.jsonl`",
        written_from=(
            "All-Hands-AI/OpenHands evaluation/utils/shared.py 000d9da",
            "All-Hands-AI/OpenHands evaluation/benchmarks/swe_bench/eval_infer.py 0540efc",
            "All-Hands-AI/OpenHands"
            " evaluation/benchmarks/swe_bench/scripts/eval/update_output_with_eval.py 506c738",
            "All-Hands-AI/OpenHands openhands/events/serialization/event.py 04e2840",
            "All-Hands-AI/OpenHands openhands/llm/metrics.py 020803a",
        ),
        maps=(
            "task_group=instance_id",
            "timestamp=history[0].timestamp",
            "timestamp=history[0][0].timestamp",
            "timestamp=metadata.start_time",
            "duration_seconds=history[-1].timestamp - history[0].timestamp",
            "duration_seconds=history[-1][1].timestamp - history[0][0].timestamp",
            "task_type=metadata.dataset",
            "task_type='openhands'",
            "repo=instance.repo",
            "repo=metadata.dataset",
            "model_tier=metadata.llm_config.model",
            "success=test_result.report.resolved",
            "success=report.resolved",
            # A run that broke off was never tested.
            "success=error: {error}",
            "actual_cost=metrics.accumulated_cost",
            "task_description=instruction",
        ),
        assume_utc=True,
        left_out=("history", "instance", "instruction", "metrics", "test_result"),
        says_nothing={"success": ("error: ",)},
    ),
    Preset(
        name="swe-bench",
        files="the `report.json` of each instance, `'logs/run_evaluation/**/report.json'`",
        written_from=("SWE-bench/SWE-bench swebench/harness/grading.py 2ff017b",),
        maps=(
            "task_group=key",
            "task_type='swe-bench'",
            "repo='swe-bench'",
            "success=resolved",
        ),
        say=("timestamp", "model_tier"),
        left_out=("key", "tests_status"),
    ),
    Preset(
        name="tau-bench",
        files="the list of results that a run writes",
        written_from=(
            "sierra-research/tau-bench tau_bench/types.py 01ed5e3",
            "sierra-research/tau-bench tau_bench/run.py 01ed5e3",
        ),
        maps=(
            # Another model's results have the same ids, and trials are no attempts at a repair.
            "task_id=null",
            "task_group=tau-bench {task_id}",
            "task_type='tau-bench'",
            "repo='tau-bench'",
            "success=reward",
            "quality_score=reward",
            "task_description=info.task.instruction",
            "error_message=info.error",
        ),
        say=("timestamp", "model_tier"),
        tried=(
            "one row of sierra-research/tau-bench historical_trajectories/gpt-4o-airline.json"
            " 7362a17, its texts shortened"
        ),
        quality_scale=1,
        left_out=("info", "traj"),
    ),
    Preset(
        name="terminal-bench",
        files="`results.json` of a run or of one trial",
        written_from=(
            "Ogak-AI/parsewave-contributor (a copy) terminal_bench/harness/models.py cc8036f",
        ),
        maps=(
            "task_id=id",
            "task_group=task_id",
            "timestamp=agent_started_at",
            "timestamp=trial_started_at",
            "duration_seconds=agent_ended_at - agent_started_at",
            "duration_seconds=trial_ended_at - trial_started_at",
            "task_type='terminal-bench'",
            "repo='terminal-bench'",
            "success=is_resolved",
            # What was not tested counts there as unresolved, whatever the mode says.
            "success=error: {failure_mode}",
            "error_type=failure_mode",
            "task_description=instruction",
        ),
        say=("model_tier",),
        tried=(
            "four rows of laude-institute/terminal-bench-leaderboard results.json 14e607d,"
            " their texts shortened"
        ),
        rows="results",
        left_out=("instruction",),
        says_nothing={"error_type": ("unset", "none")},
    ),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}


def preset_named(name: str) -> Preset:
    """Return a preset.

    Raises:
        ImportFileError: there is none of that name.
    """
    if name not in PRESETS:
        raise ImportFileError(
            f"--from: there is no preset {name!r}; presets are {', '.join(PRESETS)}, and "
            "--from list describes them"
        )
    return PRESETS[name]
