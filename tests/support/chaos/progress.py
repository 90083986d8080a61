"""How far a run has come: kept in its folder, so that a run that was ended in its midst goes on there."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "run.json"


@dataclass(frozen=True)
class Plan:
    """What a run is to do."""

    seed: int
    updates: int
    pace: float = 3.0
    """Seconds between acts of mischief at first, on average."""
    decks: int | None = None
    """How often each kind of mischief is done at most; None: until the updates have ended."""
    sqlite: bool = False
    """Whether documents lie in SQLite, without a database server."""


@dataclass
class Progress:
    """A run's plan, and what was done of it; :meth:`save` after each change."""

    folder: Path
    plan: Plan
    published: int = 0
    """How many items were taken by a gateway."""
    decks: int = 0
    """How many whole decks were dealt."""
    kills: int = 0
    """Processes that were killed with -9."""
    acts: Counter[str] = field(default_factory=Counter)
    crashed: list[str] = field(default_factory=list)
    """Replicas that ended by themselves, with their exit code."""
    seconds_before: float = 0.0
    """What its earlier parts took."""

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """What the run in ``folder`` has come to; FileNotFoundError if there is none."""
        found: dict[str, Any] = json.loads((folder / FILE).read_text())
        found["plan"] = Plan(**found["plan"])
        found["acts"] = Counter(found["acts"])
        return cls(folder, **found)

    @property
    def seconds(self) -> float:
        """What the run has taken so far, without the time between its parts."""
        return self.seconds_before + time.monotonic() - self._began

    def save(self) -> None:
        """Keep it, whole or not at all; from any thread."""
        with self._lock:
            kept = {
                "plan": vars(self.plan),
                "published": self.published,
                "decks": self.decks,
                "kills": self.kills,
                "acts": dict(self.acts),
                "crashed": list(self.crashed),
                "seconds_before": self.seconds,
            }
            new = self.folder / f"{FILE}.new"
            new.write_text(json.dumps(kept, indent=1))
            new.replace(self.folder / FILE)
