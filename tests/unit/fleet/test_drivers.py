from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from patchline_fleet.driver import DriverError
from patchline_fleet.drivers import Drivers
from patchline_fleet.sim.driver import SimDriver
from patchline_fleet.venv_app.driver import VenvDriver
from patchline_schemas.fleet import CommandCheck, Target

LIMIT = timedelta(seconds=10)
APP = "pkg:pypi/app"


def target_of(driver: str, **more: object) -> Target:
    return Target(id="t", group="g", driver=driver, **more)  # type: ignore[arg-type]


def test_the_installed_drivers_are_found_and_made_once() -> None:
    drivers = Drivers.installed()
    assert {"venv", "sim"} <= set(drivers.names)
    made = drivers.for_target(target_of("venv"))
    assert isinstance(made, VenvDriver)
    assert drivers.for_target(target_of("venv")) is made


def test_an_unknown_driver_is_told_with_those_there_are() -> None:
    with pytest.raises(DriverError, match="the target t wants the driver 'ssh', which is not installed"):
        Drivers({"sim": SimDriver}).for_target(target_of("ssh"))


@pytest.fixture
def sim() -> Iterator[SimDriver]:
    driver = SimDriver()
    yield driver
    driver.close()


def simulated(folder: Path, **settings: str) -> Target:
    return target_of("sim", path=str(folder / "sim"), settings={"packages": f"{APP}@1.0.0", **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"speed": "9"}, "no such setting 'speed'"),
        ({"packages": "app==1"}, "'app==1' is no package URL with a version"),
        ({"latency": "fast"}, "latency 'fast' is no ISO 8601 duration"),
        ({"fail": "aply"}, "'aply' is no fault"),
        ({"hang": "apply:often"}, "'apply:often' is no fault"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_told(
    sim: SimDriver, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(DriverError, match=words):
        await sim.inventory(simulated(tmp_path, **settings), timeout=LIMIT)


async def test_a_simulated_target_needs_a_folder(sim: SimDriver) -> None:
    with pytest.raises(DriverError, match="has no path"):
        await sim.inventory(target_of("sim"), timeout=LIMIT)


async def test_a_fault_happens_as_often_as_it_is_set(sim: SimDriver, tmp_path: Path) -> None:
    target = simulated(tmp_path, fail="apply:2")
    for _ in range(2):
        with pytest.raises(DriverError, match="sim: apply of t is set to fail"):
            await sim.apply(target, APP, "1.1.0", restart=False, fence=1, timeout=LIMIT)
    applied = await sim.apply(target, APP, "1.1.0", restart=False, fence=1, timeout=LIMIT)
    assert applied.after == "1.1.0"


async def test_everything_simulated_says_so(sim: SimDriver, tmp_path: Path) -> None:
    target = simulated(tmp_path, bad=f"{APP}@1.1.0", broken=f"{APP}@1.1.0")
    inventory = await sim.inventory(target, timeout=LIMIT)
    applied = await sim.apply(target, APP, "1.1.0", restart=False, fence=1, timeout=LIMIT)
    check = await sim.check(target, CommandCheck(command=("true",)), timeout=LIMIT)
    rehearsal = await sim.rehearse(target, APP, "1.1.0", tmp_path / "copy", timeout=LIMIT)
    assert inventory.runtime == "sim"
    assert inventory.environment.startswith("sim:")
    assert applied.notes[0].startswith("sim:")
    assert (check.passed, check.output) == (False, f"sim: fails with {APP}@1.1.0")
    assert [(stage.name, stage.passed) for stage in rehearsal.after] == [
        ("dependency consistency", True),
        ("imports", False),
    ]
    assert all(stage.output.startswith("sim:") for stage in (*rehearsal.before, *rehearsal.after))


async def test_latency_is_kept_and_calls_run_at_the_same_time(sim: SimDriver, tmp_path: Path) -> None:
    target = simulated(tmp_path, latency="PT0.2S")
    started = time.monotonic()
    await asyncio.gather(*(sim.inventory(target, timeout=LIMIT) for _ in range(20)))
    assert 0.2 <= time.monotonic() - started < 2


async def test_another_process_sees_the_same_fleet(sim: SimDriver, tmp_path: Path) -> None:
    target = simulated(tmp_path)
    await sim.apply(target, APP, "1.1.0", restart=False, fence=1, timeout=LIMIT)
    other = SimDriver()
    try:
        found = await other.inventory(target, timeout=LIMIT)
    finally:
        other.close()
    assert found.version_of(APP) == "1.1.0"
