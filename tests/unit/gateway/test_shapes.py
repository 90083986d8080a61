"""docs/cli.md names the keys of every shape; what it says is what the API answers with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from patchline_gateway import shapes

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
DOCUMENTED: list[tuple[str, type[BaseModel]]] = [
    ("**`patchline updates", shapes.UpdateLine),
    ("**`patchline targets", shapes.TargetItem),
    ("**`patchline inventory", shapes.InventoryItem),
    ("**`patchline notices", shapes.NoticeItem),
    ("`patchline dead-letters list", shapes.LetterItem),
    ("**`patchline explain", shapes.Explanation),
    ("`patchline update approve|reject", shapes.Decision),
    ("Without an answer in time:", shapes.PendingDecision),
    ('"changes": [', shapes.FleetChange),
    ("`patchline feed publish FILE", shapes.Published),
    ('"targets": [', shapes.WaveTargetLine),
    ('"history": [', shapes.HistoryLine),
    ('"held": null | ', shapes.HeldLine),
]


def keys_after(marker: str) -> list[str]:
    """The keys of the first JSON object after ``marker``, without those of objects within it."""
    text = PAGE[PAGE.index(marker) + len(marker) :]
    keys, depth = [], 0
    for token in re.findall(r'"[^"\n]*"(?:\s*:\s*"[^"\n]*")?|[{}\[\]]', text[text.index("{") :], re.DOTALL):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token, 0)
        if depth == 0:
            break
        if token.startswith('"') and depth == 1:
            keys.append(re.findall(r'"([^"]*)"', token)[0])
    return keys


@pytest.mark.parametrize(("marker", "shape"), DOCUMENTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_documented_shape_has_these_keys(marker: str, shape: type[BaseModel]) -> None:
    assert keys_after(marker) == list(shape.model_fields)


def test_the_values_of_states_and_outcomes_are_documented() -> None:
    from patchline_schemas.values import Kind, TargetOutcome, UpdateState, Urgency, WaveState

    for kind in (Kind, Urgency, UpdateState, WaveState, TargetOutcome):
        for value in kind.__args__:  # type: ignore[attr-defined]
            assert f"`{value}`" in PAGE
