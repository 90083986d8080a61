"""``patchline version``."""

from __future__ import annotations

import platform
from importlib.metadata import version as version_of

import typer

from patchline_cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    command(app, "version", examples=["patchline version", "patchline version -o json"])(version)


def version(session: Session) -> None:
    """Print the versions of Patchline and Python."""
    facts = {"patchline": version_of("patchline-cli"), "python": platform.python_version()}
    if session.output.is_table:
        session.output.line(f"patchline {facts['patchline']} (Python {facts['python']})")
    else:
        session.output.data(facts)


def print_and_exit(wanted: bool) -> None:
    """The callback of ``--version``."""
    if wanted:
        typer.echo(f"patchline {version_of('patchline-cli')}")
        raise typer.Exit
