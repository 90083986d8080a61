"""``patchline service``: services in processes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from patchline_cli.examples import examples_text
from patchline_cli.output import Column
from patchline_cli.session import Session, command

GROUP = "patchline.services"


def register(group: typer.Typer) -> None:
    """Add the commands to ``patchline service``."""
    group.command(
        "run",
        epilog=examples_text(
            [
                "patchline service run planning",
                "patchline service run deployment --replicas 2 --native",
                "patchline service run backup deployment verification --health-port 9100",
            ]
        ),
    )(run)
    command(group, "list", examples=["patchline service list", "patchline service list -o json"])(list_)


def run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="See `patchline service list`.")],
    *,
    replicas: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Processes of each service.")] = 1,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="Holds all state. (env: PATCHLINE_DIR; default: .patchline)"
        ),
    ] = None,
    fleet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The fleet file. (env: PATCHLINE_FLEET)")
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Of /ready and /metrics of the first replica; the others have those after it, 0 takes free"
            " ones. (env: PATCHLINE_HEALTH_PORT; default: none)",
        ),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="SERVERS", help="Kafka's bootstrap servers. (env: PATCHLINE_KAFKA)")
    ] = None,
    mongo: Annotated[
        str | None, typer.Option(metavar="URI", help="MongoDB's URI. (env: PATCHLINE_MONGO)")
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="Use the servers that `make native` has started here.")
    ] = False,
) -> None:
    """Run services in processes of their own, until Ctrl-C; one that crashes is started again."""
    from patchline_cli.running_replicas import run_replicas  # noqa: PLC0415 - slow to import

    given = {"dir": directory, "fleet": fleet, "health_port": health_port, "kafka": kafka, "mongo": mongo}
    run_replicas(names, replicas, given, native=native)


def list_(session: Session) -> None:
    """The installed services, and of how many topics each takes and publishes; the JSON form names them."""
    from patchline_kit.host import discover_services  # noqa: PLC0415 - slow to import
    from patchline_kit.runtime import topics_of  # noqa: PLC0415

    packages = {entry.name: entry.dist for entry in entry_points(group=GROUP)}
    items: list[dict[str, Any]] = []
    for service in discover_services():
        package = packages[service.name]
        items.append(
            {
                "name": service.name,
                "takes": [topic for topic in topics_of(service) if not topic.endswith(".urgent")],
                "publishes": sorted({topic for kind in service.emits for topic in kind.topics()[-1:]}),
                "package": package.name if package else None,
                "version": package.version if package else None,
            }
        )
    session.output.listing(
        items,
        [
            Column("SERVICE", lambda item: item["name"]),
            Column("TAKES", lambda item: _by_entity(item["takes"]), wrap=True),
            Column("PUBLISHES", lambda item: _by_entity(item["publishes"]), wrap=True),
            Column("PACKAGE", lambda item: f"{item['package']} {item['version']}", rank=1),
        ],
        empty="No service is installed.",
    )


def _by_entity(topics: Sequence[str]) -> str:
    """``updates (5), waves (2)``: the names are in the JSON form."""
    counts = Counter(topic.partition(".")[0] for topic in topics)
    return ", ".join(f"{entity} ({number})" for entity, number in sorted(counts.items()))
