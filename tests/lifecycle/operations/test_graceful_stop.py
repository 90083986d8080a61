"""SIGTERM in the middle of work on targets: what can end in the grace time ends, the rest is handed over.

That a member leaves its consumer group is held by the contract suite of the transports.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from whole import Whole, running

from patchline_fleet.sim.fleet import SimFleet
from patchline_kit.host import discover_services
from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.store.opening import stores

FLEET = """\
groups:
  - {name: web, criticality: low, window: always, policies: {soak: PT0S}}
targets:
  - {id: wiki, group: web, driver: sim, path: sim,
     settings: {latency: PT4S, packages: "pkg:pypi/jinja2@3.1.2"}}
"""
ITEM = {
    "vendor": "somebody",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
}


def until(condition: Callable[[], bool], what: str, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def changes(whole: Whole) -> list[str]:
    """What was done to the target (and not only to its copy)."""
    with closing(SimFleet(whole.folder / "sim")) as fleet:
        return [line.event for line in fleet.log("wiki")]


ENOUGH = (20, ["begin", "end"], ["begin", "end"])
NOT_ENOUGH = (1, ["begin"], ["begin", "interrupted", "begin", "end"])


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    ("either", "grace", "at_stop", "in_all"),
    [
        pytest.param("embedded", *NOT_ENOUGH, id="embedded-there is not"),
        pytest.param("embedded", *ENOUGH, id="embedded-there is time enough", marks=pytest.mark.long),
        pytest.param(
            "native", *NOT_ENOUGH, id="native-there is not", marks=[pytest.mark.native, pytest.mark.long]
        ),
        pytest.param(
            "native", *ENOUGH, id="native-there is time enough", marks=[pytest.mark.native, pytest.mark.long]
        ),
    ],
    indirect=["either"],
)
async def test_work_in_hand_ends_or_is_handed_over_and_nothing_is_held_any_more(
    tmp_path: Path, either: str, grace: int, at_stop: list[str], in_all: list[str]
) -> None:
    (tmp_path / "item.json").write_text(json.dumps(ITEM))
    with running(tmp_path, FLEET, PATCHLINE_GRACE=f"PT{grace}S") as whole:
        published = whole.shell("patchline feed publish item.json -o json")
        (update,) = json.loads(published.stdout)
        until(lambda: changes(whole) == ["begin"], "the deployment is at work")
        asked = time.monotonic()
        whole.stop()
        assert time.monotonic() - asked < grace + 10
        assert whole.process.returncode == 0
        assert changes(whole) == at_stop
        handed_over = whole.log.read_text().partition("they go on at the next start")[2]
        assert ("deployment" in handed_over) == (at_stop == ["begin"])

        await nothing_is_claimed(load_settings(ServiceSettings, dir=whole.state))

        whole.start()
        waited = whole.shell(f"patchline update wait {update['update_id']} --for closed --timeout 115s")
        assert waited.returncode == 0, waited.stdout + waited.stderr
        shown = json.loads(whole.shell(f"patchline update show {update['update_id']} -o json").stdout)
        assert shown["state"] == "completed"
        assert changes(whole) == in_all


async def nothing_is_claimed(settings: ServiceSettings) -> None:
    async with stores(settings, only_look=True) as store_of:
        for service in discover_services():
            store = await store_of(service.name)
            assert list(await store.claims()) == [], f"{service.name} still holds leases"
