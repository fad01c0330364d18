"""Learn from an agent orchestrator's executions which tier, pool and solution work best.

`Telemetry` captures events; the records and event classes say what can be captured. Everything
that needs DuckDB or dbt lives in submodules and is imported where it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orb_learning._face import (
        CaptureStats,
        ErrorType,
        ExecutionRecord,
        FeedbackRecord,
        OrbLearningError,
        QualityPolicy,
        SolutionRecord,
        Telemetry,
        current_execution,
        instrument_pool_manager,
        instrument_router,
    )

__all__ = [
    "CaptureStats",
    "ErrorType",
    "ExecutionRecord",
    "FeedbackRecord",
    "OrbLearningError",
    "QualityPolicy",
    "SolutionRecord",
    "Telemetry",
    "current_execution",
    "instrument_pool_manager",
    "instrument_router",
]


def __getattr__(name: str) -> object:
    # Not above: the command line lies below this, and answers Ctrl-C before all that is loaded.
    if name[:1] != "_":
        from orb_learning import _face

        globals().update({public: getattr(_face, public) for public in __all__})
        if name in globals():  # a submodule too: loading the rest has made it one
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
