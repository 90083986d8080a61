"""``patchline halt`` and ``resume``: nothing starts any more, until it may again."""

from __future__ import annotations

from typing import Annotated

import typer

from patchline_cli.decisions import Reason, Timeout, Who, decide
from patchline_cli.failures import wrong_use
from patchline_cli.output import count
from patchline_cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the top."""
    command(app, "resume", examples=['patchline resume --as maria --reason "the shop is up again"'])(resume)
    command(app, "halt", examples=['patchline halt --as maria --reason "the shop is down" --yes'])(halt)


def halt(
    session: Session,
    *,
    who: Who,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout: Timeout = "PT30S",
) -> None:
    """Let nothing start any more, in any update; what runs goes on to its end."""
    running = list(session.client.pages("/v1/updates", {"state": "rolling-out"}))
    session.output.say(
        f"{count(len(running), 'update')} rolling out; no further wave of any update will start."
    )
    if not yes:
        if not session.output.err.is_terminal:
            raise wrong_use("Halting everything wants --yes where nobody can be asked.", fix="Add --yes.")
        typer.confirm("Halt?", abort=True, err=True)
    decide(session, "/v1/halt", who=who, reason=reason, timeout=timeout)


def resume(session: Session, *, who: Who, reason: Reason, timeout: Timeout = "PT30S") -> None:
    """End a halt: updates go on."""
    decide(session, "/v1/resume", who=who, reason=reason, timeout=timeout)
