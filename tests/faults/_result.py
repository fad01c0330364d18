"""What one trial found, and how many trials add up."""

from __future__ import annotations

from dataclasses import dataclass, field

KEPT_NOTES = 20


@dataclass
class Result:
    """Counts of one trial or of many.

    Attributes:
        faults: faults that really hit: processes that died by the kill, writes that were refused.
        lost: acknowledged events that are in no table and not in quarantine.
        doubled: rows too many of one event.
        half_published: publications that are missing, mixed, or not what was built.
        hangs: processes that did not end.
        other: any other broken promise, each told in `notes`.
    """

    trials: int = 0
    faults: int = 0
    lost: int = 0
    doubled: int = 0
    half_published: int = 0
    hangs: int = 0
    other: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, more: Result) -> None:
        for name in ("trials", "faults", "lost", "doubled", "half_published", "hangs", "other"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.notes = (self.notes + more.notes)[:KEPT_NOTES]

    def note(self, text: str) -> None:
        if len(self.notes) < KEPT_NOTES:
            self.notes.append(text[:600])

    def lose(self, number: int, text: str) -> None:
        self._count("lost", number, text)

    def double(self, number: int, text: str) -> None:
        self._count("doubled", number, text)

    def half_publish(self, text: str) -> None:
        self._count("half_published", 1, text)

    def hang(self, text: str) -> None:
        self._count("hangs", 1, text)

    def fail(self, text: str) -> None:
        self._count("other", 1, text)

    def _count(self, name: str, number: int, text: str) -> None:
        if number > 0:
            setattr(self, name, getattr(self, name) + number)
            self.note(f"{name} {number}: {text}")

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.half_published or self.hangs or self.other)

    def line(self, title: str, seconds: float, seed: int) -> str:
        return (
            f"{title} | trials {self.trials} | faults hit {self.faults} | lost {self.lost} | "
            f"doubled {self.doubled} | half-published {self.half_published} | "
            f"hangs {self.hangs} | other {self.other} | {seconds:.0f} s | seed {seed}"
        )
