"""Settings of the testing service."""

from __future__ import annotations

from datetime import timedelta

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What can be set besides what every service reads."""

    test_timeout: timedelta = timedelta(minutes=15)
    """The time limit of the test in one environment: copying, before, update, after."""
