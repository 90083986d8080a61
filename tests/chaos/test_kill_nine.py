"""``kill -9`` of ``patchline up`` inside every step of the demo's updates, then ``patchline up`` again.

One run here, with 14 kills; ``make test-long`` adds more runs with other moments.
"""

import json
import random
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from chaos_fleet import STEPS, WAYS, apply_faults, built, run_until_closed


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_updates_end_as_they_would_have_although_patchline_is_killed_in_every_step(seed, tmp_path):
    apps, fleet, victim = built(tmp_path)
    try:
        with resources.as_file(resources.files("patchline_demo") / "feed.json") as feed:
            run_until_closed(victim, feed, random.Random(seed), patience=480)
        print(f"seed {seed}: killed while {', '.join(victim.kills)}")

        updates = {item["component"]: item["id"] for item in victim.updates().values()}
        problems = []
        for way in WAYS:
            update = json.loads(victim.run("update", "show", updates[way.component], "-o", "json").stdout)
            problems += [f"{way.component}: {problem}" for problem in way.problems(fleet, update)]
            if update["state"] != way.ends:
                problems.append(f"{way.component}: {update['state']}: {update['error']}")
        problems += [fault for app in apps for fault in apply_faults(app)]
        assert problems == []
        assert len(victim.kills) >= len(STEPS)
        assert set(STEPS.values()) == {kill.rpartition(" (")[0] for kill in victim.kills}

        assert victim.run("ledger", "verify", "--dir", str(tmp_path / "state")).returncode == 0
        assert json.loads(victim.run("dead-letters", "list", "-o", "json").stdout) == []
        assert notices_shown_twice(tmp_path) == []
    finally:
        victim.stop()
        for app in apps:
            app.control("stop")


def notices_shown_twice(folder: Path) -> list[str]:
    """Ids of notices that a file contact shows more than once."""
    ids: Counter[str] = Counter()
    for log in (folder / "notices").glob("*.log"):
        ids.update(re.findall(r"^Notice: (\S+)", log.read_text(), re.MULTILINE))
    assert ids, "no file contact shows any notice"
    return [notice for notice, count in ids.items() if count > 1]
