"""The service object, and what its handlers need from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_communication.courier import AppriseCourier, Courier
from patchline_communication.settings import Settings
from patchline_fleet.registry import remember_targets
from patchline_kit.service import Service
from patchline_schemas.notices import NoticeDelayed, NoticeFailed, NoticeSent

service = Service("communication", emits=[NoticeSent, NoticeDelayed, NoticeFailed], settings=Settings)
remember_targets(service)


@service.resource(Courier)
async def courier(settings: Settings) -> AsyncIterator[Courier]:
    """Files beside the fleet file, Apprise for the rest."""
    base = settings.fleet.resolve().parent if settings.fleet else settings.dir / "notices"
    async with AppriseCourier.opened(base, timeout=settings.notice_timeout) as opened:
        yield opened
