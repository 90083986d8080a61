"""``patchline topics``: the declared topics, and whether Kafka has them so."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Column, count, state_style
from patchline_cli.session import Session, command
from patchline_cli.state_folder import Dir

if TYPE_CHECKING:
    from patchline_cli.declared import Declared

Kafka = Annotated[
    str | None, typer.Option(metavar="SERVERS", help="Kafka's bootstrap servers. (env: PATCHLINE_KAFKA)")
]
Native = Annotated[
    bool, typer.Option("--native", help="Use the servers that `make native` has started here.")
]
COLUMNS = (
    Column("TOPIC", lambda item: item["topic"]),
    Column("PARTITIONS", lambda item: str(item["partitions"]), right=True),
    Column("KEPT", lambda item: item["kept"]),
    Column("REPLICAS", lambda item: f"{item['replication']}, {item['min_in_sync']} in sync", rank=1),
    Column("STATE", lambda item: item["state"] or "", style=state_style),
)
DRIFT = (
    Column("TOPIC", lambda item: item["topic"]),
    Column("WHAT", lambda item: item["what"], wrap=True),
    Column("FIX", lambda item: item["fix"], wrap=True),
)
EMBEDDED = "The embedded log makes its topics itself; name a Kafka with --kafka, PATCHLINE_KAFKA or --native."


def register(group: typer.Typer) -> None:
    """Add the commands to ``patchline topics``."""
    command(group, "check", examples=["patchline topics check", "patchline topics check --native"])(check)
    command(group, "create", examples=["patchline topics create --kafka broker:9092"])(create)
    command(group, "list", examples=["patchline topics list", "patchline topics list -o json"])(list_)
    command(group, "describe", examples=["patchline topics describe updates.planned"])(describe)


def check(session: Session, *, directory: Dir = None, kafka: Kafka = None, native: Native = False) -> None:
    """Compare Kafka's topics with the declaration. Ends with 1 if one is missing or different."""
    declared = _declared(directory, kafka, native)
    if not declared.on_kafka:
        session.output.say(EMBEDDED)
        return
    drift = asyncio.run(declared.drift())
    session.output.listing(
        [asdict(each) for each in drift], DRIFT, empty=f"All {len(declared.topics)} topics are as declared."
    )
    if drift:
        wrong = count(len({each.topic for each in drift}), "topic")
        raise Failure(
            f"{wrong} of {len(declared.topics)} must be put right.",
            fix="Do what the last column says; services start when nothing is left.",
        )


def create(session: Session, *, directory: Dir = None, kafka: Kafka = None, native: Native = False) -> None:
    """Create the topics that Kafka lacks; the others stay as they are."""
    declared = _declared(directory, kafka, native)
    if not declared.on_kafka:
        session.output.say(EMBEDDED)
        return
    created, drift = asyncio.run(declared.create())
    session.output.listing(
        [declared.row(topic) | {"state": "created"} for topic in created],
        COLUMNS,
        empty=f"All {len(declared.topics)} topics are there already; none was changed.",
    )
    if drift:
        different = count(len({each.topic for each in drift}), "topic")
        session.output.say(f"Not as declared, and left as found: {different}.")
        session.output.next("patchline topics check")


def list_(session: Session, *, directory: Dir = None, kafka: Kafka = None, native: Native = False) -> None:
    """The topics as they are declared, and whether Kafka has them so: fits, differs or missing."""
    declared = _declared(directory, kafka, native)
    states = asyncio.run(declared.states()) if declared.on_kafka else {}
    session.output.listing(
        [declared.row(topic) | {"state": states.get(name)} for name, topic in declared.topics.items()],
        COLUMNS if states else COLUMNS[:-1],
        empty="No topic is declared.",
    )


def describe(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="With or without the installation's prefix.")],
    *,
    directory: Dir = None,
    kafka: Kafka = None,
    native: Native = False,
) -> None:
    """One topic: its event, who publishes and handles it, how it is declared and how Kafka has it."""
    declared = _declared(directory, kafka, native)
    topic = declared.topics.get(name) or declared.topics.get(name.removeprefix(declared.prefix))
    if topic is None:
        raise wrong_use(f"No topic {name!r} is declared.", fix="See `patchline topics list`.")
    data = declared.row(topic) | declared.meaning(topic)
    if declared.on_kafka:
        data |= asyncio.run(declared.there(topic))
    if session.output.is_table:
        rows = [(key.replace("_", " "), text) for key, value in data.items() if (text := _text(value))]
        session.output.grid(rows, styles=[""] * len(rows))
    else:
        session.output.data(data)


def _declared(directory: object, kafka: str | None, native: bool) -> Declared:
    from patchline_cli.declared import declared  # noqa: PLC0415 - slow to import

    return declared({"dir": directory, "kafka": kafka}, native=native)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}={_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "\n".join(_text(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
