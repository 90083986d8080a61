"""``patchline groups``, ``targets`` and ``inventory``: what there is, and what it has."""

from __future__ import annotations

from typing import Annotated

import typer

from patchline_cli.completions import ids_of
from patchline_cli.output import Column
from patchline_cli.session import Session, command
from patchline_cli.times import relative

GROUPS = (
    Column("GROUP", lambda item: item["name"]),
    Column("CRITICALITY", lambda item: item["criticality"]),
    Column("EXPOSURE", lambda item: item["exposure"], rank=2),
    Column("WINDOW", lambda item: item["window"], rank=1, wrap=True),
    Column("APPROVAL", lambda item: item["approval"], rank=1, wrap=True),
    Column("CONTACTS", lambda item: ", ".join(item["contacts"]) or "-", rank=3, wrap=True),
)
COLUMNS = (
    Column("TARGET", lambda item: item["id"]),
    Column("GROUP", lambda item: item["group"]),
    Column("DRIVER", lambda item: item["driver"], rank=1),
    Column(
        "PACKAGES",
        lambda item: "unknown" if item["packages_total"] is None else str(item["packages_total"]),
        right=True,
    ),
    Column("REPORTED", lambda item: relative(item["collected_at"])),
    Column("RUNTIME", lambda item: item["runtime"] or "-", rank=3),
    Column("PROBLEM", lambda item: item["inventory_error"] or "", rank=2, wrap=True, style=lambda _: "red"),
)
PACKAGES = (
    Column("COMPONENT", lambda item: item["component"]),
    Column("VERSION", lambda item: item["version"]),
)


def register(app: typer.Typer) -> None:
    """Add the commands to the top."""
    command(app, "groups", examples=["patchline groups", "patchline groups -o json"])(groups)
    command(app, "targets", examples=["patchline targets", "patchline targets --group shop -o jsonl"])(
        targets
    )
    command(app, "inventory", examples=["patchline inventory wiki", "patchline inventory wiki -o json"])(
        inventory
    )


def groups(session: Session) -> None:
    """List the groups of the fleet file, and how each wants to be patched."""
    found = session.client.pages("/v1/groups", {})
    session.output.listing(found, GROUPS, empty="No group is registered. See: patchline fleet check FILE")


def targets(
    session: Session, group: Annotated[str | None, typer.Option(help="Only those of one group.")] = None
) -> None:
    """List the targets of the fleet file and what is known of them."""
    found = session.client.pages("/v1/targets", {"group": group})
    none = f"The group {group} has no target" if group else "No target is registered"
    session.output.listing(found, COLUMNS, empty=f"{none}. See: patchline fleet check FILE")


def inventory(
    session: Session,
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="The target's id.", autocompletion=ids_of("/v1/targets")),
    ],
) -> None:
    """List every package of a target, as the target itself said last."""
    answer = session.client.get(f"/v1/targets/{target}/inventory")
    if session.output.is_table:
        session.output.line(
            f"{answer['target']} ({answer['group']}), {answer['runtime'] or 'runtime unknown'}, "
            f"reported {relative(answer['collected_at'])}"
        )
        session.output.listing(answer["packages"], PACKAGES, empty="It has no packages.")
    elif session.output.form == "jsonl":
        session.output.listing(answer["packages"], PACKAGES, empty="")
    else:
        session.output.data(answer)
