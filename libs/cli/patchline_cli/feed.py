"""``patchline feed``: publish what vendors say."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Column, count
from patchline_cli.session import Session, command
from patchline_cli.times import duration, iso
from patchline_schemas.feed_items import MAX_FEED_BYTES, FeedItemsError, parse_items

COLUMNS = (
    Column("UPDATE", lambda item: item["update_id"]),
    Column("RESULT", lambda item: item["result"]),
    Column("EVENT", lambda item: item["event_id"], rank=1),
)


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    command(
        app,
        "publish",
        examples=[
            "patchline feed publish item.json",
            "cat items.json | patchline feed publish -",
            "patchline feed publish items.json -o json --timeout PT2M",
        ],
    )(publish)


def publish(
    session: Session,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON: one item or a list; - for standard input.")
    ],
    timeout: Annotated[str, typer.Option(help="How long to wait until the updates show.")] = "PT30S",
    who: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who publishes. (default: you)")
    ] = None,
) -> None:
    """Publish updates; a list is taken wholly or not at all."""
    text = read_feed(file)
    check_feed(text, _name(file))
    limit = duration(timeout)
    params = {"timeout": iso(limit), "who": who or _login()}
    answer = session.client.send("POST", "/v1/feeds/updates", text, params, wait=limit.total_seconds())
    results = answer["results"]
    empty = "No item has an answer yet." if answer["pending"] else "The feed holds no item."
    session.output.listing(results, COLUMNS, empty=empty)
    if answer["pending"]:
        raise Failure(
            f"{count(len(answer['pending']), 'update')} not shown after {timeout}; what was taken will come.",
            fix="`patchline updates` shows what is there.",
            exit_code=exit_codes.STILL_RUNNING,
        )
    if session.output.is_table and results:
        session.output.next(f"patchline update wait {results[0]['update_id']}")


def read_feed(file: str) -> bytes:
    """The file's content. Raises :class:`Failure` if it cannot be read or is too large."""
    if file == "-":
        return _limited(sys.stdin.buffer.read(MAX_FEED_BYTES + 1), _name(file))
    path = Path(file)
    try:
        with path.open("rb") as feed:
            return _limited(feed.read(MAX_FEED_BYTES + 1), file)
    except OSError as error:
        raise wrong_use(f"{file} cannot be read: {error.strerror}.") from error


def check_feed(text: bytes, name: str) -> None:
    """Say what is wrong with the feed ``name`` before anything is sent. Raises :class:`Failure` with every
    problem."""
    try:
        parse_items(text)
    except FeedItemsError as error:
        shown = [str(problem) for problem in error.problems[:20]]
        if len(error.problems) > len(shown):
            shown.append(f"and {count(len(error.problems) - len(shown), 'more problem')}")
        raise wrong_use(
            f"Nothing of {name} was published.",
            fix="Correct what is named and publish again.",
            details=shown,
        ) from error


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _limited(content: bytes, name: str) -> bytes:
    if len(content) > MAX_FEED_BYTES:
        raise wrong_use(
            f"{name} is larger than {MAX_FEED_BYTES // 1024 // 1024} MiB, the most for one publication.",
            fix="Split it into several files.",
        )
    return content


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "feed"
