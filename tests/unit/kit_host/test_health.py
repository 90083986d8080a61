from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from patchline_kit import health
from patchline_kit.health import health_app
from patchline_kit.runtime import Readiness
from patchline_kit.telemetry import Telemetry
from patchline_kit.transport.port import Lag, TransportError

WELL = Readiness(ready=True, reasons=(), assigned=True, caught_up=True, backlog=0, stuck=())


class Watched:
    """A service that says what the test wants."""

    def __init__(self, state: Readiness = WELL, lag: Lag | None = None) -> None:
        self.state = state
        self.behind = lag

    def readiness(self) -> Readiness:
        return self.state

    async def lag(self) -> Lag:
        if self.behind is None:
            raise TransportError("not reachable")
        return self.behind


def client(services: dict[str, Watched], folder: Path) -> httpx.AsyncClient:
    app = health_app(services, Telemetry({}), folder)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def test_a_process_whose_services_are_well_is_live_and_ready(tmp_path: Path):
    async with client({"planning": Watched()}, tmp_path) as http:
        assert (await http.get("/live")).status_code == 200
        answer = await http.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["services"]["planning"]["caught_up"] is True


async def test_a_process_that_is_not_ready_says_which_service_and_why(tmp_path: Path):
    ill = replace(WELL, ready=False, reasons=("it reads no topic yet",), assigned=False)
    async with client({"planning": Watched(), "testing": Watched(ill)}, tmp_path) as http:
        assert (await http.get("/live")).status_code == 200
        answer = await http.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["testing: it reads no topic yet"]
    assert answer.json()["services"]["planning"]["ready"] is True


async def test_a_full_disk_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "ROOM_BYTES", 1 << 60)
    async with client({}, tmp_path) as http:
        [reason] = (await http.get("/ready")).json()["reasons"]
    assert "MiB are left on the disk under" in reason


async def test_a_missing_state_folder_is_a_reason(tmp_path: Path):
    async with client({}, tmp_path / "gone") as http:
        [reason] = (await http.get("/ready")).json()["reasons"]
    assert "gone cannot be used" in reason


async def test_metrics_tell_the_lag_of_those_that_know_it(tmp_path: Path):
    behind = Watched(lag=Lag(3, datetime.now(UTC) - timedelta(seconds=90)))
    async with client({"planning": behind, "testing": Watched()}, tmp_path) as http:
        text = (await http.get("/metrics")).text
    assert 'patchline_lag_records{service="planning"} 3.0' in text
    [oldest] = [
        line
        for line in text.splitlines()
        if line.startswith('patchline_oldest_unhandled_seconds{service="planning"}')
    ]
    assert 90 <= float(oldest.split()[-1]) < 100
