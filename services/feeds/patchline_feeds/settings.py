"""Settings of the feeds service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the feeds service, from ``PATCHLINE_*``."""

    keep_refusals: timedelta = Field(default=timedelta(days=30), gt=timedelta(0))
    """How long a refused publication is remembered, so that it is not answered twice."""
