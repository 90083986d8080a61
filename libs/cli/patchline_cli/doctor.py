"""``patchline doctor``: is everything as it should be, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from patchline_cli import exit_codes, local_checks, remote_checks
from patchline_cli.diagnosis import Diagnosis
from patchline_cli.output import Column, state_style
from patchline_cli.session import Session, command
from patchline_cli.state_folder import Dir, state_folder

COLUMNS = (
    Column("RESULT", lambda item: item["result"], style=state_style),
    Column("CHECK", lambda item: item["check"]),
    Column("WHAT", lambda item: item["what"], wrap=True),
    Column("FIX", lambda item: item["fix"] or "", wrap=True, rank=1),
)


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    command(app, "doctor", examples=["patchline doctor", "patchline doctor --dir state -o json"])(doctor)


def doctor(
    session: Session,
    directory: Dir = None,
    fleet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A fleet file to check. (default: the one that is watched)"),
    ] = None,
) -> None:
    """Check this machine, the state folder and the running Patchline, if there is one.

    Each check passes, warns, fails or is skipped with a reason, and says how to put right what is wrong.
    Ends with 1 if a check fails.
    """
    folder = state_folder(directory)
    found = [
        local_checks.python(),
        local_checks.uv(),
        local_checks.state_folder(folder),
        local_checks.store(folder),
        local_checks.fleet_file(fleet),
        local_checks.traces(),
        *remote_checks.all_checks(session.client, asked_for=session.url_given),
    ]
    if session.output.is_table:
        _show(session, found)
    else:
        session.output.listing([_shown(each) for each in found], COLUMNS, empty="")
    if any(each.result == "fail" for each in found):
        raise typer.Exit(exit_codes.FAILED)


def _shown(found: Diagnosis) -> dict[str, Any]:
    return {"check": found.check, "result": found.result, "what": found.what, "fix": found.fix}


def _show(session: Session, found: list[Diagnosis]) -> None:
    session.output.grid(
        [(each.result, each.check, each.what + (f"\nfix: {each.fix}" if each.fix else "")) for each in found],
        styles=[state_style(each.result) for each in found],
    )
    counts = {
        result: sum(each.result == result for each in found) for result in ("pass", "warn", "fail", "skip")
    }
    session.output.line(", ".join(f"{number} {result}" for result, number in counts.items() if number))
