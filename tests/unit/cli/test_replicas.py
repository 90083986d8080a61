"""Which replicas there are, and what becomes of one that can never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest

from patchline_cli.replicas import Replica, Supervisor, replicas_of


def ports(**given: object) -> list[tuple[str, str | None, str | None]]:
    free: Iterator[int] = count(50_000)
    options: dict[str, object] = {"port": 8470, "health_port": None, "free_port": lambda: next(free), **given}
    return [
        (each.name, each.environment.get("PATCHLINE_PORT"), each.environment.get("PATCHLINE_HEALTH_PORT"))
        for each in replicas_of(["gateway", "review"], 2, **options)  # type: ignore[arg-type]
    ]


def test_only_the_gateways_replicas_serve_the_api_each_on_a_port_of_its_own():
    assert ports() == [
        ("gateway 1", "8470", None),
        ("gateway 2", "8471", None),
        ("review 1", None, None),
        ("review 2", None, None),
    ]


def test_health_ports_follow_each_other_and_0_takes_free_ones():
    assert [health for *_, health in ports(health_port=9100)] == ["9100", "9101", "9102", "9103"]
    assert [health for *_, health in ports(health_port=0)] == ["50000", "50001", "50002", "50003"]


def test_a_replica_is_an_instance_of_its_own_in_traces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "site=berlin")
    (only,) = replicas_of(["review"], 1, port=0, health_port=None, free_port=lambda: 1)
    assert only.environment["OTEL_RESOURCE_ATTRIBUTES"] == "site=berlin,service.instance.id=review-1"


async def test_a_replica_that_can_never_run_is_not_started_again():
    said: list[str] = []
    supervisor = Supervisor([Replica("plumbing", 1, {})], grace=timedelta(seconds=1), say=said.append)
    assert await supervisor.run() is False
    assert said[-1] == "plumbing 1 cannot run as it is set up (see above); stopping"
