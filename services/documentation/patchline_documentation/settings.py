"""What can be set for the documentation service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the documentation service, from ``PATCHLINE_*``."""

    seal_every: timedelta = Field(default=timedelta(minutes=1), gt=timedelta(0))
    """How often the heads of the ledger's chains are sealed, so how much of a tail a cut could hide."""
    seal_after_end: timedelta = timedelta(seconds=2)
    """How soon after an update's end its chain is sealed; updates that end together share a seal."""
    report_patience: timedelta = timedelta(seconds=30)
    """How long a report waits for causes that the ledger does not have yet; then it names them."""
