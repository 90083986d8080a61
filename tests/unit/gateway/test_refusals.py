from __future__ import annotations

import httpx
from fastapi import FastAPI

from patchline_gateway.api import refusals
from patchline_kit.store.port import StoreError


async def test_a_store_that_does_not_answer_is_no_fault_but_a_reason_to_call_again() -> None:
    app = FastAPI()
    refusals.install(app)

    @app.get("/v1/updates")
    async def updates() -> None:
        raise StoreError("MongoDB at db:27017 does not answer: start it, or correct PATCHLINE_MONGO")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        answer = await http.get("/v1/updates")
    assert answer.status_code == 503
    assert answer.json()["error"] == "unavailable"
    assert "MongoDB at db:27017 does not answer" in answer.json()["explanation"]
    assert "/ready" in answer.json()["fix"]
