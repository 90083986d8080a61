"""A running gateway with its API, and stand-ins for the services that answer it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from patchline_gateway.api.app import build_app
from patchline_gateway.service import api, service
from patchline_gateway.settings import Settings
from patchline_kit.process import Process
from patchline_kit.testing import ServiceHarness
from patchline_schemas.examples.shared import JINJA, UPDATE
from patchline_schemas.requests import (
    PublishResult,
    RequestAccepted,
    RequestRefused,
    RequestSubmitted,
)
from patchline_schemas.updates import UpdateProgressed


class Gateway:
    """A gateway under test: its harness, and a client of its API."""

    def __init__(self, harness: ServiceHarness, http: httpx.AsyncClient) -> None:
        self.harness = harness
        self.http = http

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON answer of a call that is meant to go well."""
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def publish(self, *events: Any) -> None:
        """Put events on their topics and let the gateway take them in."""
        for event in events:
            await self.harness.publish(event)
        await self.harness.settle()

    async def requests(self, number: int) -> list[tuple[str, RequestSubmitted]]:
        """The first ``number`` requests on their topic, with their ids."""
        async with asyncio.timeout(10):
            while len(found := self.harness.published(RequestSubmitted)) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        ids = [envelope.id for envelope in self.harness.envelopes(RequestSubmitted)]
        return list(zip(ids, found, strict=True))

    async def accept(self, request_id: str, request: RequestSubmitted, effect: str = "done") -> None:
        """Answer a request as its owner would."""
        published = None
        if request.item:
            published = PublishResult(event_id=f"event-{request_id}", update_id=UPDATE, result="accepted")
        await self.harness.publish(
            RequestAccepted(
                request_id=request_id,
                action=request.action,
                update_id=request.update_id,
                who=request.who,
                effect=effect,
                published=published,
            )
        )

    async def refuse(self, request_id: str, request: RequestSubmitted, rule: str, explanation: str) -> None:
        """Refuse a request as its owner would."""
        await self.harness.publish(
            RequestRefused(
                request_id=request_id,
                action=request.action,
                update_id=request.update_id,
                who=request.who,
                rule=rule,
                explanation=explanation,
            )
        )


def progressed(sequence: int, state: str, **changes: Any) -> UpdateProgressed:
    """Where an update stands."""
    given: dict[str, Any] = {
        "update_id": UPDATE,
        "revision": 1,
        "component": JINJA,
        "version": "3.1.6",
        "round": 1,
        "kind": "security",
        "urgency": "scheduled",
        "due_at": None,
        "held": None,
        "waves": (),
    }
    return UpdateProgressed(sequence=sequence, state=state, **(given | changes))  # type: ignore[arg-type]


@pytest.fixture(name="progressed")
def _progressed() -> Callable[..., UpdateProgressed]:
    return progressed


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A gateway without its own server: calls go straight to the application."""
    monkeypatch.setattr(service, "companions", [each for each in service.companions if each is not api])
    settings = Settings(dir=tmp_path, fleet=tmp_path / "fleet.yaml")
    resources: dict[type[Any], object] = {Process: None}
    harness = ServiceHarness(service, tmp_path=tmp_path, settings=settings, resources=resources)
    resources[Process] = Process(harness.transport, PlainTextResponse("ready"))
    async with harness:
        transport = httpx.ASGITransport(build_app(harness.handle("gateway")))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Gateway(harness, http)
