"""Settings of the communication service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What can be set besides what every service reads."""

    notice_attempts: int = Field(default=6, ge=1)
    """After so many failed attempts a notice is reported as failed."""
    notice_retry: timedelta = timedelta(seconds=10)
    """Pause after the first failed attempt; it doubles with each further one."""
    notice_timeout: timedelta = timedelta(seconds=30)
    """How long a contact's service may take to accept a notice."""
