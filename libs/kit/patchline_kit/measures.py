"""What the runtime measures: a port, so that the core knows no metrics library.

``what`` is the name of the step as its span has it: the handler and the kind, ``start WaveBackedUp``.
"""

from __future__ import annotations

from typing import Protocol


class Measures(Protocol):
    """Receives a figure at each step. Every method returns at once and never raises."""

    def handled(self, what: str, seconds: float) -> None:
        """A record, message or wake was handled, with or without effect; ``seconds`` is its duration."""

    def failed(self, what: str) -> None:
        """A handler ended with an exception that is no outcome."""

    def retried(self, what: str) -> None:
        """A record, message or wake will be tried again."""

    def dead_lettered(self, what: str) -> None:
        """A record or message was given up."""

    def woken(self, what: str, delay_seconds: float) -> None:
        """A document was claimed ``delay_seconds`` after its ``wake_at``."""


class NoMeasures:
    """Measures nothing."""

    def handled(self, what: str, seconds: float) -> None:
        """Nothing."""

    def failed(self, what: str) -> None:
        """Nothing."""

    def retried(self, what: str) -> None:
        """Nothing."""

    def dead_lettered(self, what: str) -> None:
        """Nothing."""

    def woken(self, what: str, delay_seconds: float) -> None:
        """Nothing."""
