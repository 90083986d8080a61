"""``patchline report``: the story of an update, to read or to file."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from patchline_cli.failures import wrong_use
from patchline_cli.session import Session, command
from patchline_cli.updates import UpdateId


class ReportFormat(StrEnum):
    """Forms of a report."""

    HTML = "html"
    MD = "md"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    command(
        app,
        "report",
        form=None,
        examples=[
            "patchline report jinja2-3.1.6-1a2b3c",
            "patchline report jinja2-3.1.6-1a2b3c --format html --to report.html",
        ],
    )(report)


def report(
    session: Session,
    update_id: UpdateId,
    format: Annotated[ReportFormat, typer.Option(help="Form of the report.")] = ReportFormat.MD,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there instead of printing it.")
    ] = None,
) -> None:
    """Print an update's report, or write it to a file."""
    content = session.client.fetch(f"/v1/updates/{update_id}/report", {"format": format.value})
    if to is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        to.write_bytes(content)
    except OSError as error:
        raise wrong_use(f"{to} cannot be written: {error.strerror}.") from error
    session.output.line(f"Wrote {to} ({len(content):,} bytes).")
