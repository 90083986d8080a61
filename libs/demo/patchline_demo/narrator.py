"""Tells what happens: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

COLOURS = {
    "completed": "green",
    "not-applicable": "green",
    "failed": "red",
    "rolling-back": "yellow",
    "awaiting-approval": "yellow",
    "needs-person": "red",
}


class Narrator:
    """Follows the updates. Each call of :meth:`show` may print what is new."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self._told: dict[str, str] = {}
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line with the seconds since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:6.1f} s[/]  {text}", highlight=False)

    def show(self, updates: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Show where the updates are now."""
        for update_id, update in updates.items():
            line = _line(update)
            if self._told.get(update_id) != line:
                self._told[update_id] = line
                if not self._live:
                    self.say(f"{update_id}: {line}")
        if self._live:
            self._live.update(_table(updates), refresh=True)


def _line(update: Mapping[str, Any] | None) -> str:
    if update is None:
        return "published"
    waves = ", ".join(f"wave {n} ({w['group']}) {w['state']}" for n, w in enumerate(update["waves"], 1))
    held = f", held by {update['held']['rule']}" if update["held"] else ""
    closed = ", documented and reviewed" if update["closed"] else ""
    return f"{update['state']}{held}{closed}" + (f"; {waves}" if waves else "")


def _table(updates: Mapping[str, Mapping[str, Any] | None]) -> Table:
    table = Table("update", "state", "waves", "held by")
    for update_id, update in updates.items():
        if update is None:
            table.add_row(update_id, "published", "", "")
            continue
        waves = "\n".join(f"{w['group']}: {w['state']}" for w in update["waves"])
        state = update["state"] + (" ✓" if update["closed"] else "")
        held = update["held"]["rule"] if update["held"] else ""
        table.add_row(update_id, f"[{COLOURS.get(update['state'], 'default')}]{state}[/]", waves, held)
    return table
