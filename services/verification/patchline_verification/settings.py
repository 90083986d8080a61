"""Settings of the verification service."""

from __future__ import annotations

from datetime import timedelta

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What can be set besides what every service reads."""

    soak_look_every: timedelta = timedelta(minutes=1)
    """The longest time between two looks at a wave that soaks; a short soak is looked at three times."""
