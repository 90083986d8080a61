"""What can be set for the review service."""

from __future__ import annotations

from datetime import timedelta

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the review service, from ``PATCHLINE_*``."""

    review_patience: timedelta = timedelta(seconds=20)
    """How long a review waits, once the report is written, for events that are still on their way."""
