"""Many updates on the same few targets: one wave at a time on each, none left waiting, whatever is killed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from patchline_planning.gates import Claim
from patchline_planning.messages import AcquireTarget
from patchline_schemas.examples import examples


async def rolled_out_together(life: Any, *, seed: int, kill: bool) -> None:
    rng = random.Random(seed)
    await life.group("intranet", policies={"wave_size": 3})
    await life.group("shop", criticality="high")
    targets = {f"t{n}": "shop" if n % 3 else "intranet" for n in range(9)}
    updates = []
    for number in range(6):
        chosen = {id_: targets[id_] for id_ in rng.sample(sorted(targets), rng.randint(1, 6))}
        updates.append(await life.roll_out("2.0.0", chosen, component=f"pkg:pypi/c{number}"))
    owned: dict[str, str] = {}
    running: dict[str, str] = {}
    ended: set[str] = set()
    while any(life.state(id_) != "completed" for id_ in updates):
        for wave_id in set(life.due_waves()) - running.keys() - ended:
            running[wave_id] = "due"
            for target in life.due(wave_id).targets:
                assert owned.setdefault(target.target_id, wave_id) == wave_id
        assert running, {id_: life.progress(id_).held for id_ in updates}
        wave_id = rng.choice(sorted(running))
        if kill and rng.random() < 0.3:
            await life.harness.restart()
        match running[wave_id]:
            case "due":
                await life.back_up(wave_id)
                running[wave_id] = "backed up"
            case "backed up":
                await life.deploy(wave_id)
                running[wave_id] = "deployed"
            case "deployed":
                owned = {target: owner for target, owner in owned.items() if owner != wave_id}
                await life.pass_checks(wave_id)
                running[wave_id] = "soaking"
            case "soaking":
                await life.verify(wave_id)
                ended.add(wave_id)
                del running[wave_id]


@pytest.mark.parametrize("seed", range(2))
async def test_each_target_belongs_to_one_wave_at_a_time_and_all_updates_end(life: Any, seed: int) -> None:
    await rolled_out_together(life, seed=seed, kill=False)


async def test_the_same_with_kills_at_any_moment(life: Any) -> None:
    await rolled_out_together(life, seed=11, kill=True)


async def test_a_wish_that_a_release_has_overtaken_keeps_no_target(life: Any) -> None:
    await life.group("intranet")
    blocking = await life.roll_out("2.0.0", {"z": "intranet"}, component="pkg:pypi/first")
    given_up = await life.roll_out("2.0.0", {"a": "intranet", "z": "intranet"}, component="pkg:pypi/second")
    await life.ask("cancel", given_up)
    claim = Claim(wave_id=f"{given_up}.r1.w1", update_id=given_up, attempt=1)
    await life.harness.deliver(AcquireTarget(to="a", claim=claim, rest=("z",)))
    await life.harness.settle()
    await life.carry(life.planned(blocking).waves[0].id)
    other = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/third")
    assert life.planned(other).waves[0].id in life.due_waves()


async def test_planning_reads_the_examples_of_every_event_it_takes(life: Any) -> None:
    for kind in life.harness.service.events:
        for event in examples()[kind]:
            await life.harness.publish(event)
    await life.harness.settle()
