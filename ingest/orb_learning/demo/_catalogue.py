"""The work there is: repositories, kinds of task, and what solves them. All of it is invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskType:
    """A kind of task.

    Attributes:
        difficulty: mean, on the scale of `Tier.ability`.
        median_tokens: of a task of difficulty 50.
        phrasings: descriptions with a place for the area of the code.
        solutions: what solves such tasks, the commonest first.
    """

    name: str
    weight: float
    difficulty: float
    median_tokens: int
    phrasings: tuple[str, ...]
    solutions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and the areas of its code."""

    name: str
    weight: float
    areas: tuple[str, ...]


REPOSITORIES = (
    Repository("payments-api", 5, ("refunds", "idempotency keys", "webhooks", "ledger export")),
    Repository("web-frontend", 5, ("checkout form", "session banner", "search box", "i18n")),
    Repository("data-pipeline", 4, ("late partitions", "schema registry", "backfill", "dedup")),
    Repository("mobile-app", 3, ("push tokens", "offline sync", "deep links", "image cache")),
    Repository("platform-infra", 2, ("autoscaling", "secret rotation", "network policy")),
    Repository("developer-docs", 2, ("quick start", "API reference", "migration guide")),
)

TASK_TYPES = (
    TaskType(
        name="bug_fix",
        weight=6,
        difficulty=52,
        median_tokens=14_000,
        phrasings=("Fix the crash in {}", "Fix flaky {}", "{}: wrong result for empty input"),
        solutions=(
            "Guard against the missing value at the boundary",
            "Retry with backoff and a cap on attempts",
            "Take the lock before reading, not after",
            "Compare timestamps in UTC",
            "Close the connection when the consumer stops early",
            "Make the write idempotent with a request key",
            "Invalidate the cache on write",
            "Escape user input before it reaches the query",
        ),
    ),
    TaskType(
        name="feature",
        weight=5,
        difficulty=62,
        median_tokens=26_000,
        phrasings=("Add filters to {}", "Support bulk operations in {}", "Let admins configure {}"),
        solutions=(
            "Add an endpoint behind a feature flag",
            "Extend the schema with a nullable column and backfill it",
            "Paginate with a keyset cursor",
            "Emit a domain event and subscribe to it",
            "Add a settings page backed by the existing form builder",
            "Stream the export instead of building it in memory",
            "Add a command to the CLI that reuses the service layer",
        ),
    ),
    TaskType(
        name="refactor",
        weight=3,
        difficulty=58,
        median_tokens=22_000,
        phrasings=(
            "Split the module behind {}",
            "Remove duplication in {}",
            "Untangle {} from the ORM",
        ),
        solutions=(
            "Extract the shared logic into one service",
            "Replace inheritance by a protocol",
            "Move the module behind a thin interface",
            "Inline the wrapper and delete it",
            "Replace the conditional chain by a table",
            "Pass dependencies in instead of importing them",
        ),
    ),
    TaskType(
        name="test_generation",
        weight=4,
        difficulty=42,
        median_tokens=12_000,
        phrasings=(
            "Cover {} with tests",
            "Write property tests for {}",
            "Add regression tests for {}",
        ),
        solutions=(
            "Parametrize over the boundary values",
            "Replace mocks by a temporary database",
            "Freeze the clock through an injected time source",
            "Generate cases with hypothesis strategies",
            "Record a fixture from production traffic",
            "Assert on the rendered output instead of internals",
            "Run the contract tests against both implementations",
        ),
    ),
    TaskType(
        name="documentation",
        weight=4,
        difficulty=24,
        median_tokens=6_000,
        phrasings=("Document {}", "Rewrite the page about {}", "Add runnable examples for {}"),
        solutions=(
            "Start the page with a runnable example",
            "Generate the reference from docstrings",
            "Move background into its own page and link it",
            "Add a table of options with defaults",
            "Replace screenshots by text output",
            "Add a troubleshooting section from issue titles",
        ),
    ),
    TaskType(
        name="code_review",
        weight=4,
        difficulty=40,
        median_tokens=9_000,
        phrasings=(
            "Review the change to {}",
            "Check the security of {}",
            "Review the migration of {}",
        ),
        solutions=(
            "Ask for a test that fails without the change",
            "Flag the missing index on the foreign key",
            "Point out the unbounded query",
            "Request a rollback plan for the migration",
            "Spot the secret in the log line",
            "Suggest the existing utility instead of a new one",
        ),
    ),
)

TOPOLOGIES = ("hierarchical", "mesh", "star")
