"""The gateway's settings; host, port and token are common to all of Patchline."""

from __future__ import annotations

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the gateway needs to know."""
