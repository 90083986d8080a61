"""``patchline up``: a whole Patchline in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from patchline_cli.client import DEFAULT_PORT
from patchline_cli.examples import examples_text


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    app.command(
        "up",
        epilog=examples_text(
            [
                "patchline up --fleet fleet.yaml",
                "patchline up --dir state --fleet fleet.yaml --port 8470",
                "patchline up --fleet fleet.yaml --kafka localhost:9092",
                "patchline up --fleet fleet.yaml --native",
            ]
        ),
    )(up)


def up(
    *,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="Holds all state. (env: PATCHLINE_DIR; default: .patchline)"
        ),
    ] = None,
    fleet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The fleet file; it is read again on change. (env: PATCHLINE_FLEET)"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help=f"The gateway's; 0 takes a free one. (env: PATCHLINE_PORT; default: {DEFAULT_PORT})",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Where the gateway listens; any but a loopback address needs a token."
            " (env: PATCHLINE_HOST; default: 127.0.0.1)",
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="SERVERS",
            help="Kafka's bootstrap servers; without them the embedded log is used. (env: PATCHLINE_KAFKA)",
        ),
    ] = None,
    mongo: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="MongoDB's; without it documents lie in SQLite. (env: PATCHLINE_MONGO)"
        ),
    ] = None,
    native: Annotated[
        bool,
        typer.Option(
            "--native",
            help="Use the Kafka, MongoDB and Zipkin that `make native` has started here; --kafka and --mongo"
            " win.",
        ),
    ] = False,
) -> None:
    """Start all services in one process, and run them until Ctrl-C."""
    from patchline_cli.running import run_whole  # noqa: PLC0415 - what runs services takes long to import

    given = {"dir": directory, "fleet": fleet, "port": port, "host": host, "kafka": kafka, "mongo": mongo}
    run_whole(given, native=native)
