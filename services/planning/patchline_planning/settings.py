"""Settings of planning: those that all services have."""

from __future__ import annotations

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Planning has none of its own: what can be set is in the fleet file."""
