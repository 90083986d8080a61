"""Which Patchline answers, and where it keeps what it knows."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter

from patchline_gateway.settings import Settings
from patchline_gateway.shapes import Installation
from patchline_kit.context import ServiceHandle


def routes(handle: ServiceHandle) -> APIRouter:
    """The call about the installation."""
    router = APIRouter(tags=["installation"])
    settings = handle.setting(Settings)

    @router.get("/installation")
    async def installation() -> Installation:
        """Which Patchline this is; a command on the same machine finds its ledger by it."""
        return Installation(
            version=version("patchline-gateway"),
            state_folder=str(settings.dir.absolute()),
            documents="mongodb" if settings.mongo else "sqlite",
        )

    return router
