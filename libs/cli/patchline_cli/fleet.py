"""``patchline fleet``: check a fleet file, or put it in effect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Column, Output, count
from patchline_cli.session import Session, command
from patchline_cli.times import duration
from patchline_fleet.fleetfile import FleetFile, FleetFileError, read_fleet_file

File = Annotated[Path, typer.Argument(metavar="FILE", help="A fleet file (YAML).")]
CHANGES = (
    Column("CHANGE", lambda item: item["change"]),
    Column("WHAT", lambda item: item["kind"]),
    Column("NAME", lambda item: item["name"]),
)
LOOK_AGAIN = 0.5
"""Seconds between two looks whether a new fleet file is registered."""


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    command(app, "check", examples=["patchline fleet check fleet.yaml"])(check)
    command(
        app,
        "apply",
        examples=["patchline fleet apply fleet.yaml", "patchline fleet apply fleet.yaml -o json"],
    )(apply)


def check(session: Session, file: File) -> None:
    """Say what is wrong with a fleet file, each problem with its line; it needs no running Patchline."""
    try:
        fleet = read_fleet_file(file)
    except FleetFileError as error:
        raise _invalid(session.output, file, error) from error
    if session.output.is_table:
        _summary(session.output, fleet)
    else:
        session.output.data({"file": str(file), "valid": True, "problems": [], **_counts(fleet)})


def apply(
    session: Session,
    file: File,
    timeout: Annotated[str, typer.Option(help="How long to wait until all of it is registered.")] = "PT30S",
) -> None:
    """Put a fleet file in the place of the one that Patchline watches, and wait until it is registered.

    Relative paths in the file start at the folder of the watched file. A file that is the watched one itself
    is left as it is.
    """
    limit = duration(timeout)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise wrong_use(f"{file} cannot be read: {error.strerror}.") from error
    try:
        answer = session.client.send("PUT", "/v1/fleet", content)
    except Failure as failure:
        failure.details = tuple(f"{file}:{detail.removeprefix('line ')}" for detail in failure.details)
        raise
    changes = answer["changes"] or session.client.get("/v1/fleet/pending")
    pending = _wait_until_registered(session, time.monotonic() + limit.total_seconds())
    if session.output.is_table:
        session.output.listing(
            changes, CHANGES, empty="The file says what the watched one said; nothing changes."
        )
        session.output.say(f"In effect: {answer['file']}")
    elif session.output.form == "jsonl":
        session.output.listing(changes, CHANGES, empty="")
    else:
        session.output.data(
            {"file": answer["file"], "digest": answer["digest"], "changes": changes, "pending": pending}
        )
    if pending:
        raise Failure(
            f"{count(len(pending), 'change')} not registered after {timeout}; the work goes on.",
            fix="`patchline doctor` says whether a service is down.",
            exit_code=exit_codes.STILL_RUNNING,
        )
    if session.output.is_table:
        session.output.next("patchline targets")


def problems_of(error: FleetFileError) -> list[dict[str, Any]]:
    """The problems as JSON shows them."""
    return [
        {
            "file": found.file,
            "line": found.line or None,
            "column": found.column or None,
            "where": found.where or None,
            "reason": found.reason,
            "fix": found.fix,
        }
        for found in error.problems
    ]


def _invalid(output: Output, file: Path, error: FleetFileError) -> Failure:
    if not output.is_table:
        output.data({"file": str(file), "valid": False, "problems": problems_of(error)})
    return wrong_use(
        f"{file} is no valid fleet file.",
        fix="Correct what is named; docs/fleet-file.md shows every key.",
        details=str(error).splitlines(),
    )


def _counts(fleet: FleetFile) -> dict[str, int]:
    return {
        "groups_total": len(fleet.groups),
        "targets_total": len(fleet.targets),
        "freezes_total": len(fleet.freezes),
    }


def _summary(output: Output, fleet: FleetFile) -> None:
    output.line(
        f"{fleet.path} is valid: {count(len(fleet.groups), 'group')}, {count(len(fleet.targets), 'target')}."
    )
    rows = [
        {
            "group": group.name,
            "criticality": group.criticality,
            "window": "always" if group.window == "always" else group.window.rrule,
            "targets": sum(target.group == group.name for target in fleet.targets),
        }
        for group in fleet.groups
    ]
    output.table(
        rows,
        (
            Column("GROUP", lambda row: row["group"]),
            Column("CRITICALITY", lambda row: row["criticality"]),
            Column("TARGETS", lambda row: str(row["targets"]), right=True),
            Column("WINDOW", lambda row: row["window"], wrap=True),
        ),
    )
    output.next(f"patchline up --fleet {fleet.path}", f"patchline fleet apply {fleet.path}")


def _wait_until_registered(session: Session, deadline: float) -> list[Any]:
    while True:
        pending: list[Any] = session.client.get("/v1/fleet/pending")
        if not pending or time.monotonic() >= deadline:
            return pending
        time.sleep(LOOK_AGAIN)
