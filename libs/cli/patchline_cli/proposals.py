"""``patchline proposals``: changes to the fleet file that reviews propose."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from patchline_cli.completions import ids_of
from patchline_cli.output import Column
from patchline_cli.session import Session, command
from patchline_cli.times import relative

COLUMNS = (
    Column("ID", lambda item: item["id"]),
    Column("WHEN", lambda item: relative(item["time"]), rank=1),
    Column("GROUP", lambda item: item["group"]),
    Column("WHY", lambda item: item["reason"], wrap=True),
    Column("UPDATE", lambda item: item["update_id"], rank=2),
)
NO_PATCH = "There is no patch: the fleet file could not be read where the review was made."


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    command(app, "list", examples=["patchline proposals list", "patchline proposals list --group shop"])(
        list_proposals
    )
    command(
        app,
        "show",
        examples=["patchline proposals show ID", "patchline proposals show ID | patch -p0"],
    )(show)


def list_proposals(
    session: Session,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Only those for one group.")] = None,
) -> None:
    """List what reviews propose, oldest first."""
    found = sorted(
        session.client.pages("/v1/proposals", {"group": group}), key=lambda item: (item["time"], item["id"])
    )
    session.output.listing(found, COLUMNS, empty="No review has proposed anything yet.")
    if found:
        session.output.next(f"patchline proposals show {found[-1]['id']}")


def show(
    session: Session,
    proposal_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="The proposal's id.", autocompletion=ids_of("/v1/proposals")),
    ],
) -> None:
    """Show a proposal: the patch on standard output, fit for `patch -p0`, and the reason beside it."""
    proposal = session.client.get(f"/v1/proposals/{proposal_id}")
    output = session.output
    if not output.is_table:
        output.data(proposal)
        return
    output.say(f"Group {proposal['group']}, after {proposal['update_id']}: {proposal['reason']}")
    if proposal["patch"]:
        sys.stdout.write(proposal["patch"])
        sys.stdout.flush()
    else:
        output.say(NO_PATCH)
