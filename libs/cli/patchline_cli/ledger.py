"""``patchline ledger``: check and export the record of everything that happened."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from pydantic import ValidationError

from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Column, count
from patchline_cli.session import Session, command
from patchline_cli.state_folder import Dir, state_folder_of, store_of
from patchline_kit.ledger import LedgerFormatError, LedgerLine, Line, SealLine, Verifier, read_lines, to_json

SERVICE = "documentation"
"""Whose documents the ledger is."""
PROBLEMS = (
    Column("PROBLEM", lambda item: item["kind"], style=lambda _: "red"),
    Column("CHAIN", lambda item: item["chain"], rank=1),
    Column("ENTRY", lambda item: str(item["sequence"]), right=True, rank=2),
    Column("WHAT", lambda item: item["explanation"], wrap=True),
)


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    command(
        app,
        "verify",
        examples=[
            "patchline ledger verify",
            "patchline ledger verify --dir state",
            "patchline ledger verify ledger.jsonl",
        ],
    )(verify)
    command(
        app,
        "export",
        form=None,
        examples=[
            "patchline ledger export --dir state > ledger.jsonl",
            "patchline ledger export --to ledger.jsonl",
        ],
    )(export)


def verify(
    session: Session,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export; without it the ledger itself is read.")
    ] = None,
    directory: Dir = None,
) -> None:
    """Find changed, missing and cut entries; it needs no running Patchline."""
    verifier = _of_export(file) if file else asyncio.run(_of_folder(state_folder_of(session, directory)))
    problems = [problem.model_dump(mode="json") for problem in verifier.finish()]
    summary: dict[str, Any] = {
        "valid": not problems,
        "entries_total": verifier.entries_total,
        "chains_total": verifier.chains_total,
        "seals_total": verifier.seals_total,
        "unsealed_total": verifier.unsealed_total,
    }
    output = session.output
    if output.form == "json":
        output.data({**summary, "problems": problems})
    elif output.form == "jsonl" or problems:
        output.listing(problems, PROBLEMS, empty="")
    if output.is_table:
        output.line(
            f"{count(summary['entries_total'], 'entry')} in {count(summary['chains_total'], 'chain')} under "
            f"{count(summary['seals_total'], 'seal')}, {summary['unsealed_total']} not sealed yet: "
            + (f"{count(len(problems), 'problem')}." if problems else "whole.")
        )
        if summary["unsealed_total"] and not summary["seals_total"]:
            output.say("Nothing is sealed, so it would not show if the end had been cut off.", style="yellow")
    if problems:
        raise Failure(
            "The ledger is not what was written.",
            fix="Compare it with an earlier export; the first problem shows where it was touched.",
        )


def export(
    session: Session,
    directory: Dir = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there instead of standard output.")
    ] = None,
) -> None:
    """Write the whole ledger as JSON lines, seals first; `ledger verify FILE` checks it anywhere."""
    folder = state_folder_of(session, directory)
    if to is None:
        asyncio.run(_write(folder, sys.stdout))
        return
    try:
        with to.open("w", encoding="utf-8") as file:
            written = asyncio.run(_write(folder, file))
    except OSError as error:
        raise wrong_use(f"{to} cannot be written: {error.strerror}.") from error
    session.output.say(f"Wrote {count(written, 'line')} to {to}.")


def _of_export(file: Path) -> Verifier:
    """A verifier that has read an export. Raises :class:`Failure` if it is none."""
    try:
        with file.open(encoding="utf-8") as lines:
            verifier = Verifier([line for line in read_lines(lines) if isinstance(line, SealLine)])
        with file.open(encoding="utf-8") as lines:
            _check(verifier, read_lines(lines))
    except OSError as error:
        raise wrong_use(f"{file} cannot be read: {error.strerror}.") from error
    except (LedgerFormatError, UnicodeDecodeError) as error:
        raise wrong_use(f"{file} is no export of a ledger: {error}.") from error
    return verifier


def _check(verifier: Verifier, lines: Iterable[Line]) -> None:
    for line in lines:
        if isinstance(line, LedgerLine):
            verifier.check(line)


async def _of_folder(folder: Path) -> Verifier:
    try:
        async with store_of(SERVICE, folder) as store:
            verifier = Verifier([seal async for seal in _reader("seals")(store)])
            async for entry in _reader("read")(store):
                verifier.check(entry)
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]
        raise Failure(
            f"The ledger holds something that is no entry of it: {where['loc']}: {where['msg']}."
        ) from error
    return verifier


async def _write(folder: Path, to: TextIO) -> int:
    written = 0
    async with store_of(SERVICE, folder) as store:
        for part in ("seals", "read"):
            async for line in _reader(part)(store):
                to.write(to_json(line) + "\n")
                written += 1
    return written


def _reader(name: str) -> Callable[[Any], AsyncIterator[Any]]:
    """How the service that keeps the ledger reads it (entry point group ``patchline.ledger``)."""
    found = entry_points(group="patchline.ledger", name=name)
    if not found:
        raise Failure(
            "The ledger reader is not installed here.",
            fix="Install patchline-documentation beside this command.",
        )
    reader: Callable[[Any], AsyncIterator[Any]] = next(iter(found)).load()
    return reader
