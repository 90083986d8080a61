"""``patchline waves``: an update's waves with all their targets."""

from __future__ import annotations

from typing import Any

import typer

from patchline_cli.output import Column, state_style
from patchline_cli.session import Session, command
from patchline_cli.times import relative
from patchline_cli.updates import UpdateId

COLUMNS = (
    Column("WAVE", lambda item: item["id"]),
    Column("ROUND", lambda item: str(item["round"]), rank=2, right=True),
    Column("GROUP", lambda item: item["group"]),
    Column("STATE", lambda item: item["state"], style=state_style),
    Column("STARTS", lambda item: relative(item["starts_at"]), rank=1),
    Column("TARGETS", lambda item: str(item["targets_total"]), right=True),
    Column("OUTCOMES", lambda item: outcomes_in_words(item["targets"]), rank=1),
)


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    command(
        app,
        "waves",
        examples=["patchline waves jinja2-3.1.6-1a2b3c", "patchline waves jinja2-3.1.6-1a2b3c -o jsonl"],
    )(waves)


def waves(session: Session, update_id: UpdateId) -> None:
    """List an update's waves, with every target in JSON."""
    found = sorted(session.client.pages(f"/v1/waves/{update_id}"), key=_order)
    session.output.listing(found, COLUMNS, empty="It has no waves (yet).")


def outcomes_in_words(targets: list[dict[str, Any]]) -> str:
    """``2 succeeded, 1 failed``."""
    counts: dict[str, int] = {}
    for target in targets:
        counts[target["outcome"]] = counts.get(target["outcome"], 0) + 1
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items())


def _order(wave: dict[str, Any]) -> tuple[int, int]:
    number = wave["id"].rpartition(".w")[2]
    return wave["round"], int(number) if number.isdigit() else 0
