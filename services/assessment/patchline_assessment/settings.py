"""Settings of the assessment service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the assessment service, from ``PATCHLINE_*``."""

    fleet_every: timedelta = Field(default=timedelta(seconds=2), gt=timedelta(0))
    """How often the fleet file is looked at."""
    inventory_every: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))
    """How often each target is asked what it has; a tenth of it is added by target, to spread them."""
    inventory_concurrency: int = Field(default=8, ge=1)
    """How many targets one process asks at a time."""
    inventory_timeout: timedelta = Field(default=timedelta(minutes=1), gt=timedelta(0))
    """How long one target may take to answer."""
    inventory_patience: timedelta = timedelta(minutes=1)
    """How long an update's first assessment waits for targets that have not been asked yet."""
    assessment_delay: timedelta = timedelta(seconds=1)
    """How long news from targets is gathered before an update is assessed again."""
