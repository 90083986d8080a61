"""``patchline new-service``: a service of one's own that works from the first minute."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from patchline_cli.examples import examples_text
from patchline_cli.output import Output
from patchline_cli.state_folder import state_folder


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    app.command(
        "new-service",
        epilog=examples_text(
            [
                "patchline new-service patch-diary --on WaveVerified",
                "patchline new-service patch-diary --on waves.verified --on UpdateFailed --emits PageWritten",
                "patchline new-service auto-approver --on UpdateTested --emits RequestSubmitted",
            ]
        ),
    )(new_service)


def new_service(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Lower case, like 'patch-diary'; also its consumer group.")
    ],
    *,
    on: Annotated[
        list[str],
        typer.Option("--on", metavar="EVENT", help="An event it handles: class or topic. May be repeated."),
    ],
    emits: Annotated[
        list[str] | None,
        typer.Option(
            "--emits",
            metavar="EVENT",
            help="An event it publishes: one there is, or a new name (like 'PageWritten') for one of its own."
            " May be repeated.",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="FOLDER", help="Where to write it; new or empty. (default: ./NAME)"),
    ] = None,
) -> None:
    """Write a service of your own: handlers, a test on the events' examples, container and README.

    It needs patchline-kit and patchline-schemas only, and runs beside a running Patchline.
    """
    from patchline_cli.new_service_blueprint import blueprint  # noqa: PLC0415 - the kit is slow to import
    from patchline_cli.new_service_files import files, write  # noqa: PLC0415

    wanted = blueprint(name, on, emits or [])
    folder = directory or Path(name)
    texts = files(wanted)
    write(texts, folder)

    output = Output()
    for path in sorted(texts):
        output.line(str(folder / path))
    for kind in wanted.published:
        output.say(
            f"Note: {kind.__name__} is Patchline's own, and its services act on it."
            f" Nothing is published until you write in {folder / wanted.module / 'rules.py'} what, and when."
        )
    python = _shortest(sys.executable)
    output.next(
        f"cd {folder}",
        f"{python} -m pytest",
        f"PATCHLINE_DIR={_shortest(str(state_folder(None).absolute()))} {python} -m {wanted.module}",
        "README.md says more",
    )


def _shortest(path: str) -> str:
    """An absolute path as a person would type it from anywhere."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return f"~{path[len(home) :]}" if home != "/" and path.startswith(f"{home}/") else path
