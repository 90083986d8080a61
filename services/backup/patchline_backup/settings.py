"""Settings of the backup service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What can be set besides what every service reads."""

    backup_keep_for: timedelta = timedelta(days=30)
    """How long every backup is kept at least."""
    backup_keep_last: int = Field(default=2, ge=0)
    """So many of a target's newest backups are kept however old they are."""
