"""How long a hook keeps its host, beside what else a host could call, and what outlives a kill.

    make bench-capture              # the table, printed and written to docs/benchmarks.md
    python benchmarks/capture.py --calls 5000 --rounds 1

Each contender records the same finished execution: a flag, six numbers and two texts. Each round
is a process of its own, the contenders take turns, and the figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from report import machine, table, write_section

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
EVENT: dict[str, Any] = {
    "task_id": TASK,
    "success": False,
    "attempt": 1,
    "duration_seconds": 12.5,
    "quality_score": 71,
    "cost_estimate": 0.21,
    "actual_cost": 0.25,
    "peak_memory_mb": 512.0,
    "error_type": "quality_gate",
    "solution_summary": "pin the version of the parser and regenerate the lock file",
}
PLAIN = {**EVENT, "task_id": str(TASK)}
LONG_TEXT = ("coverage of the module fell below the threshold of the policy: " * 7)[:440]

Record = Callable[[], object]


class Contender:
    """Something a host could call to record an execution.

    Attributes:
        name: as in the table.
        writes_to: where an event is when the call returns.
    """

    name: ClassVar[str]
    writes_to: ClassVar[str]
    is_validated: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        """Set it up to keep its data in a folder."""
        self.folder = folder

    def recorder(self) -> Record:
        """Return what records one event; called once per thread."""
        raise NotImplementedError

    def found(self) -> int:
        """Return how many events another process finds in the folder."""
        raise NotImplementedError


class Orb(Contender):
    name = "orb-learning hook"
    writes_to = "file"
    is_validated = True
    event = EVENT

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from orb_learning import Telemetry

        self.telemetry = Telemetry(folder / "home")

    def recorder(self) -> Record:
        capture, event = self.telemetry.capture_routing_outcome_sync, self.event
        return lambda: capture(**event)

    def found(self) -> int:
        lines = b"".join(file.read_bytes() for file in (self.folder / "home/spool").iterdir())
        return lines.count(b"\n")


class OrbLong(Orb):
    name = "orb-learning hook, 500 characters of text"
    event: ClassVar[dict[str, Any]] = {**EVENT, "error_message": LONG_TEXT}


class OrbSecret(Orb):
    name = "orb-learning hook, a secret to mask"
    event: ClassVar[dict[str, Any]] = {
        **EVENT,
        "error_message": "401 for https://bot:hunter2@git.example.com, retried twice",
    }


class OpenTelemetry(Contender):
    name = "opentelemetry-sdk span"
    writes_to = "memory"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(exporter_to(folder)))
        self.tracer = provider.get_tracer("bench")

    def recorder(self) -> Record:
        start = self.tracer.start_span
        return lambda: start("execution", attributes=PLAIN).end()

    def found(self) -> int:
        return exported(self.folder)


class Langfuse(Contender):
    name = "langfuse span"
    writes_to = "memory"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from langfuse import Langfuse as Client

        self.client = Client(
            public_key="pk",
            secret_key="sk",  # noqa: S106  # nobody asks for it: nothing is sent
            base_url="http://127.0.0.1:9",
            span_exporter=exporter_to(folder),
        )

    def recorder(self) -> Record:
        start = self.client.start_observation
        return lambda: start(name="execution", metadata=PLAIN).end()

    def found(self) -> int:
        return exported(self.folder)


class PostHog(Contender):
    name = "posthog capture"
    writes_to = "memory"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import posthog.consumer
        from posthog import Posthog

        # In place of the network: what reaches it is counted in a file.
        posthog.consumer.batch_post = lambda *_, batch=(), **__: export(folder, len(batch))
        self.client = Posthog("key", host="http://127.0.0.1:9", max_queue_size=1_000_000)

    def recorder(self) -> Record:
        capture = self.client.capture
        return lambda: capture("execution", distinct_id="bench", properties=PLAIN)

    def found(self) -> int:
        return exported(self.folder)


class Structlog(Contender):
    name = "structlog JSON line to a file"
    writes_to = "file"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import structlog

        structlog.configure(
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory((folder / "log").open("a")),
            cache_logger_on_first_use=True,
        )
        self.log = structlog.get_logger().bind()

    def recorder(self) -> Record:
        info = self.log.info
        return lambda: info("execution", **PLAIN)

    def found(self) -> int:
        return (self.folder / "log").read_bytes().count(b"\n")


class Sqlite(Contender):
    name = "sqlite3 insert, WAL"
    writes_to = "file"

    def connect(self) -> Any:
        import sqlite3

        database = sqlite3.connect(
            self.folder / "db", isolation_level=None, timeout=60, check_same_thread=False
        )
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        return database

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.connect().execute(f"create table if not exists execution ({', '.join(PLAIN)})")

    def recorder(self) -> Record:
        execute = self.connect().execute
        insert = f"insert into execution values ({', '.join('?' * len(PLAIN))})"
        return lambda: execute(insert, tuple(PLAIN.values()))

    def found(self) -> int:
        return int(self.connect().execute("select count(*) from execution").fetchone()[0])


CONTENDERS = {
    cls.__name__: cls
    for cls in (Orb, OrbLong, OrbSecret, OpenTelemetry, PostHog, Langfuse, Structlog, Sqlite)
}


def export(folder: Path, count: int) -> None:
    """Note that so many events have left the process."""
    with (folder / "exported").open("a") as file:
        file.write("x" * count)


def exported(folder: Path) -> int:
    """Return how many events have left the process."""
    file = folder / "exported"
    return file.stat().st_size if file.exists() else 0


def exporter_to(folder: Path) -> Any:
    """Return an OpenTelemetry exporter that only counts."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Counting(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            export(folder, len(spans))
            return SpanExportResult.SUCCESS

    return Counting()


def percentiles(times: list[int]) -> dict[str, float]:
    """Return microseconds at which half, 99 % and 99.9 % of the calls had returned."""
    times.sort()
    return {
        name: times[min(len(times) - 1, int(len(times) * share))] / 1000
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def timed(record: Record, calls: int) -> list[int]:
    """Return how many nanoseconds each call took, and the clock itself."""
    clock = time.perf_counter_ns
    times = [0] * calls
    for number in range(calls):
        begin = clock()
        record()
        times[number] = clock() - begin
    return times


def run(name: str, threads: int, calls: int) -> None:
    """Measure one contender in this process and print the figures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        contender = CONTENDERS[name](Path(folder))
        timed(contender.recorder(), calls // 10 + 100)
        gate = threading.Barrier(threads + 1)
        found: list[list[int]] = []

        def work() -> None:
            record = contender.recorder()
            gate.wait()
            found.append(timed(record, calls // threads))

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        gate.wait()
        begin = time.perf_counter()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - begin
        figures = percentiles([one for times in found for one in times])
        figures["per_second"] = calls // threads * threads / seconds
        print(json.dumps(figures), flush=True)
    os._exit(0)  # some contenders would first try to send what they still hold


def be_killed(name: str, folder: Path) -> None:
    """Record until killed, and tell after each call that it has returned."""
    record = CONTENDERS[name](folder).recorder()
    while True:
        record()
        os.write(1, b".")


def kill(name: str, least: int) -> tuple[int, int]:
    """Kill a recording process; return how many calls had returned and how many events are left."""
    folder = Path(tempfile.mkdtemp())
    try:
        child = subprocess.Popen(
            [sys.executable, __file__, "--kill-me", name, str(folder)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        returned = len(child.stdout.read(least))
        child.send_signal(signal.SIGKILL)
        returned += len(child.stdout.read())
        child.wait()
        return returned, CONTENDERS[name](folder).found()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def figures_of(name: str, threads: int, calls: int) -> dict[str, float]:
    """Measure one contender in a process of its own."""
    command = [sys.executable, __file__, "--run", name, str(threads), str(calls)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def memory(captures: int) -> tuple[float, float]:
    """Return the mebibytes held after a tenth of the captures and after all, in this process."""
    from orb_learning import Telemetry

    held = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        telemetry = Telemetry(folder)
        for part in range(10):
            for _ in range(captures // 10):
                telemetry.capture_routing_outcome_sync(**EVENT)
            if part in (0, 9):
                held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            for file in sorted((Path(folder) / "spool").iterdir())[:-1]:
                file.unlink()
    return held[0], held[1]


def import_seconds() -> tuple[float, float]:
    """Return the median seconds of a process that imports the package, and of one that does not."""

    def seconds(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    for code in ("import orb_learning", "pass"):
        seconds(code)
    return (
        statistics.median(seconds("import orb_learning") for _ in range(11)),
        statistics.median(seconds("pass") for _ in range(11)),
    )


def report(calls: int, rounds: int, kills: int, captures: int) -> str:
    """Measure everything and return the section of the documentation."""
    measured: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name in CONTENDERS:
            for threads in (1, 4):
                measured.setdefault((name, threads), []).append(figures_of(name, threads, calls))

    def median(name: str, threads: int, figure: str) -> float:
        return statistics.median(one[figure] for one in measured[name, threads])

    rows = []
    for name, cls in CONTENDERS.items():
        returned, left = kill(name, kills)
        rows.append(
            [
                cls.name,
                *(f"{median(name, 1, figure):,.1f}" for figure in ("p50", "p99", "p999")),
                *(f"{median(name, 4, figure):,.1f}" for figure in ("p50", "p99")),
                f"{median(name, 4, 'per_second'):,.0f}",
                "yes" if cls.is_validated else "no",
                f"{min(left, returned):,} of {returned:,}",
            ]
        )
    with_package, bare = import_seconds()
    lines = [
        f"{machine()}. {calls:,} calls in each of {rounds} rounds.",
        "",
        *table(
            [
                "µs a call",
                "p50",
                "p99",
                "p99.9",
                "4 threads: p50",
                "p99",
                "events/s",
                "validated, masked",
                "outlives `kill -9`",
            ],
            rows,
        ),
        "",
        f"A process that imports the package takes {with_package:.2f} s, a bare one {bare:.2f} s.",
    ]
    if captures:
        early, late = memory(captures)
        lines.append(
            f"After {captures // 10:,} captures the process holds at most {early:.1f} MB, after"
            f" {captures:,} {late:.1f} MB."
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=350, help="calls before the kill")
    parser.add_argument("--captures", type=int, default=0, help="captures to watch memory over")
    parser.add_argument("--write", type=Path, help="the document whose section is replaced")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--kill-me", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run[0], int(given.run[1]), int(given.run[2]))
    elif given.kill_me:
        be_killed(given.kill_me[0], Path(given.kill_me[1]))
    else:
        section = report(given.calls, given.rounds, given.kills, given.captures)
        print(section)
        if given.write:
            write_section(given.write, "capture", section)


if __name__ == "__main__":
    main()
