"""``patchline events tail``: events as they happen."""

from __future__ import annotations

import difflib
import fnmatch
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Annotated, Any

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Format
from patchline_cli.session import Session, command
from patchline_schemas import event_types

AGAIN_AFTER = 2.0
"""Seconds after which a broken stream is taken up again."""


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    command(
        app,
        "tail",
        examples=[
            "patchline events tail",
            "patchline events tail --topic 'waves.*'",
            "patchline events tail --topic updates.progressed -o jsonl --count 10",
        ],
    )(tail)


def tail(
    session: Session,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic, or a pattern like 'waves.*'; may be repeated.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
) -> None:
    """Print events from now on, until Ctrl-C, which is its usual end and ends it with 0."""
    _refuse_unknown(topic or [])
    printed: list[Any] = []
    with suppress(KeyboardInterrupt):
        for event in islice(_events(session, topic or []), count):
            if session.output.form is Format.JSON:
                printed.append(event)
            else:
                _print(session, event)
    if session.output.form is Format.JSON:
        session.output.data(printed)


def _refuse_unknown(patterns: list[str]) -> None:
    topics = sorted(kind.TOPIC for kind in event_types().values())
    for pattern in patterns:
        if not fnmatch.filter(topics, pattern):
            near = difflib.get_close_matches(pattern, topics, n=3)
            hint = f"Near to it: {', '.join(near)}." if near else "docs/events.md lists all topics."
            raise wrong_use(f"No topic is {pattern!r}.", fix=hint)


def _print(session: Session, event: Any) -> None:
    if session.output.form is Format.JSONL:
        session.output.data(event)
    else:
        session.output.line(
            f"{event['time'][11:19]}  {event['topic']}  {event['subject'] or '-'}  {event['summary']}"
        )


def _events(session: Session, topics: list[str]) -> Iterator[Any]:
    """Events, taken up again after the last one seen when the connection breaks."""
    last: str | None = None
    connected = False
    while True:
        try:
            for event in _one_connection(session, topics, last):
                connected = True
                if event is None:
                    continue
                last = event["event_id"]
                yield event
        except Failure as failure:
            if failure.exit_code != exit_codes.UNREACHABLE or not connected:
                raise
            session.output.say(f"{failure.explanation} Trying again.")
        time.sleep(AGAIN_AFTER)


def _one_connection(session: Session, topics: list[str], last: str | None) -> Iterator[Any | None]:
    """Parsed events; None for a sign of life."""
    kind, data = "message", ""
    for line in session.client.stream("/v1/events", {"topic": topics}, last):
        name, _, value = line.partition(":")
        if not line:
            if data and kind == "gap":
                session.output.say(json.loads(data)["explanation"], style="yellow")
            elif data:
                yield json.loads(data)
            kind, data = "message", ""
        elif name == "event":
            kind = value.strip()
        elif name == "data":
            data += value.strip()
        else:
            yield None
