"""Many updates on servers of their own, while everything is killed, frozen, cut off and put wrong.

``make chaos SEED=... UPDATES=...`` repeats a run or makes it longer; `docs/chaos.md` says what is proven.
"""

import os

import pytest
from chaos.run import Run

SHORT, LONG = 8, 150


@pytest.mark.native
@pytest.mark.parametrize(
    ("updates", "pace", "decks"),
    [
        pytest.param(SHORT, 2.0, 1, id="short", marks=pytest.mark.timeout(900)),
        pytest.param(LONG, 4.0, None, id="long", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_every_update_ends_as_it_would_have_whatever_is_done_to_the_stack(updates, pace, decks, tmp_path):
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    run = Run(tmp_path, seed=seed, updates=updates, pace=pace, decks=decks)
    result = run(say=False)
    print("\n".join([*result.story, *result.lines()]))
    assert result.violations == ()
    assert result.kills >= 20
