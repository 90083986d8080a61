"""Many updates on servers of their own, while everything is killed, frozen, cut off and put wrong.

``make chaos SEED=... UPDATES=...`` repeats a run or makes it longer; `docs/chaos.md` says what is proven.
"""

import os

import pytest
from chaos.run import Run

SHORT, LONG = 12, 300


@pytest.mark.native
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("updates", "pace"),
    [pytest.param(SHORT, 2.0, id="short"), pytest.param(LONG, 3.0, id="long", marks=pytest.mark.long)],
)
def test_every_update_ends_as_it_would_have_whatever_is_done_to_the_stack(updates, pace, tmp_path):
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    run = Run(tmp_path, seed=seed, updates=updates, pace=pace, mongo=True)
    result = run(say=False)
    print("\n".join([*result.story, *result.lines()]))
    assert result.violations == ()
    assert result.kills >= 20
