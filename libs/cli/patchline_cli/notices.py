"""``patchline notices``: what people were told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from patchline_cli.output import Column, state_style
from patchline_cli.session import Session, command
from patchline_cli.times import relative

COLUMNS = (
    Column("WHEN", lambda item: relative(item["time"])),
    Column("STATE", lambda item: item["state"], style=state_style),
    Column("GROUP", lambda item: item["group"]),
    Column("OCCASION", lambda item: item["occasion"]),
    Column("CONTACT", lambda item: item["contact"], rank=1),
    Column("WHAT", lambda item: item["subject"] or _trouble(item), wrap=True),
    Column("UPDATE", lambda item: item["update_id"], rank=2),
)


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    command(
        app,
        "notices",
        examples=[
            "patchline notices",
            "patchline notices --update jinja2-3.1.6-1a2b3c",
            "patchline notices --failed",
        ],
    )(notices)


def notices(
    session: Session,
    update: Annotated[str | None, typer.Option(metavar="ID", help="Only those about one update.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that could not be delivered.")] = False,
) -> None:
    """List what contacts were told, oldest first."""
    params = {"update_id": update, "state": "failed" if failed else None}
    found = sorted(session.client.pages("/v1/notices", params), key=lambda item: (item["time"], item["id"]))
    about = f" about {update}" if update else ""
    empty = f"No notice{about} has failed." if failed else f"No notice{about} was sent yet."
    session.output.listing(found, COLUMNS, empty=empty)


def _trouble(item: Mapping[str, Any]) -> str:
    error = (item["error"] or "").rstrip(".")
    return f"{error}; tried again {relative(item['next_attempt_at'])}" if item["next_attempt_at"] else error
