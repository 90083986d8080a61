"""``patchline rebuild``: a service's documents anew from the ledger."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure
from patchline_cli.output import count
from patchline_cli.progress import Progress
from patchline_cli.session import Session, command
from patchline_cli.times import duration

LOOK_SECONDS = 0.5
AWAY_SECONDS = 30.0
"""A gateway that is started again meanwhile is waited for so long."""


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    command(
        app,
        "rebuild",
        examples=["patchline rebuild gateway --as maria", "patchline rebuild gateway --as maria -o json"],
    )(rebuild)


def rebuild(
    session: Session,
    service: Annotated[str, typer.Argument(metavar="NAME", help="A service that is a read model: gateway.")],
    who: Annotated[str, typer.Option("--as", metavar="NAME", help="Who asks.")],
    timeout: Annotated[str, typer.Option(help="How long to wait for the end.")] = "PT30M",
) -> None:
    """Build the documents of a read model anew from the ledger; the old ones answer meanwhile."""
    deadline = time.monotonic() + duration(timeout).total_seconds()
    path = f"/v1/rebuilds/{service}"
    status, in_time = _followed(session, path, session.client.post(path, {"who": who}), deadline)
    if not session.output.is_table:
        session.output.data(status)
    if not in_time:
        raise Failure(
            f"{service} is still being rebuilt: {_in_words(status)}.",
            fix=f"It goes on by itself; `patchline rebuild {service} --as {who}` waits again.",
            exit_code=exit_codes.STILL_RUNNING,
        )
    if session.output.is_table:
        entries = count(status["entries_total"], "entry")
        session.output.line(f"{service} is rebuilt from {entries} of the ledger.")


def _followed(session: Session, path: str, status: Any, deadline: float) -> tuple[Any, bool]:
    """The newest status of the rebuild that ``status`` is of, and whether it ended before ``deadline``."""
    rebuild_id = status["rebuild_id"]
    with Progress(session.output.err) as progress:
        while status["state"] == "rebuilding" and status["rebuild_id"] == rebuild_id:
            progress.show(_in_words(status))
            if time.monotonic() > deadline:
                return status, False
            time.sleep(LOOK_SECONDS)
            status = _status(session, path)
    return status, True


def _status(session: Session, path: str) -> Any:
    until = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return session.client.get(path)
        except Failure as failure:
            if failure.exit_code != exit_codes.UNREACHABLE or time.monotonic() > until:
                raise
        time.sleep(LOOK_SECONDS)


def _in_words(status: Any) -> str:
    if status["trouble"]:
        return f"it waits: {'; '.join(status['trouble'])}"
    if status["entries_total"] is None:
        return "the ledger has not begun to play back"
    left = "" if status["records_left"] is None else f", {count(status['records_left'], 'record')} to take in"
    return f"{status['entries_done']} of {count(status['entries_total'], 'entry')} played back{left}"
