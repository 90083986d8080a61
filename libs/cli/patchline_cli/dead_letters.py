"""``patchline dead-letters``: records that a service gave up."""

from __future__ import annotations

from typing import Annotated

import typer

from patchline_cli import exit_codes
from patchline_cli.completions import ids_of
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Column, state_style
from patchline_cli.session import Session, command
from patchline_cli.times import relative

COLUMNS = (
    Column("ID", lambda item: item["id"]),
    Column("SERVICE", lambda item: item["service"]),
    Column("TOPIC", lambda item: item["topic"], rank=2),
    Column("STATE", lambda item: item["state"], rank=3, style=state_style),
    Column("SINCE", lambda item: relative(item["first_failed_at"]), rank=1),
    Column("REASON", lambda item: item["reason"], wrap=True),
)
STATES = ("open", "replaying", "replayed", "discarded", "all")
LetterIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...",
        help="Their ids, as `dead-letters list` shows them.",
        autocompletion=ids_of("/v1/dead-letters"),
    ),
]
AllOpen = Annotated[bool, typer.Option("--all", help="All open ones.")]
Of = Annotated[
    str | None, typer.Option("--service", metavar="NAME", help="With --all: only those of one service.")
]
Who = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides.")]


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    command(
        app,
        "list",
        examples=["patchline dead-letters list", "patchline dead-letters list --state all -o jsonl"],
    )(list_letters)
    command(app, "show", examples=["patchline dead-letters show ID"])(show)
    command(
        app,
        "replay",
        examples=[
            "patchline dead-letters replay ID --as maria",
            "patchline dead-letters replay --all --as maria",
        ],
    )(replay)
    command(app, "discard", examples=["patchline dead-letters discard ID --as maria"])(discard)


def list_letters(
    session: Session,
    state: Annotated[str, typer.Option(help=f"One of: {', '.join(STATES)}.")] = "open",
    service: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of one service.")] = None,
) -> None:
    """List records that a service gave up."""
    if state not in STATES:
        raise wrong_use(f"{state!r} is no state of a dead letter.", fix=f"Use one of: {', '.join(STATES)}.")
    found = session.client.pages("/v1/dead-letters", {"state": state, "service": service})
    session.output.listing(found, COLUMNS, empty="There are no dead letters." if state == "open" else "None.")


def show(
    session: Session,
    letter_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The dead letter's id.", autocompletion=ids_of("/v1/dead-letters", state="all")
        ),
    ],
) -> None:
    """Show a dead letter: the reason, the record and where it lay."""
    letter = session.client.get(f"/v1/dead-letters/{letter_id}")
    output = session.output
    if not output.is_table:
        output.data(letter)
        return
    output.line(letter["id"], style="bold")
    output.line(f"{letter['service']} gave it up: {letter['reason']}")
    output.line(f"Attempts: {letter['attempts']}")
    output.line(f"Error:    {letter['error']}")
    output.line(f"Record:   {letter['topic']}, partition {letter['partition']}, offset {letter['offset']}")
    output.line(
        f"State:    {letter['state']}" + (f" by {letter['decided_by']}" if letter["decided_by"] else "")
    )
    for name, value in letter["headers"].items():
        output.line(f"Header:   {name}: {value}")
    output.line(f"Body:     {'empty, or too large to keep' if letter['body'] is None else letter['body']}")
    if letter["state"] == "open":
        output.next(f"patchline dead-letters replay {letter_id} --as NAME")


def replay(
    session: Session, who: Who, letter_ids: LetterIds = None, every: AllOpen = False, service: Of = None
) -> None:
    """Put records back on their topics, for the service that gave them up alone."""
    _decide(session, "replay", letter_ids or [], every=every, service=service, who=who)


def discard(
    session: Session, who: Who, letter_ids: LetterIds = None, every: AllOpen = False, service: Of = None
) -> None:
    """Lay records aside for good; the ledger keeps them."""
    _decide(session, "discard", letter_ids or [], every=every, service=service, who=who)


def _decide(
    session: Session, decision: str, ids: list[str], *, every: bool, service: str | None, who: str
) -> None:
    if bool(ids) == every:
        raise wrong_use("Name dead letters, or give --all for all open ones; not both.")
    if every:
        ids = [item["id"] for item in session.client.pages("/v1/dead-letters", {"service": service})]
    done, refused = [], []
    for letter_id in ids:
        try:
            done.append(session.client.post(f"/v1/dead-letters/{letter_id}/{decision}", {"who": who}))
        except Failure as failure:
            refused.append(failure)
    if done or not refused:
        session.output.listing(done, COLUMNS, empty="There was nothing to do.")
    if refused:
        raise _as_one(refused, of=len(ids), decision=decision)


def _as_one(refused: list[Failure], *, of: int, decision: str) -> Failure:
    """One failure is told as it is; of several, the exit code is theirs if they all failed alike."""
    if of == 1:
        return refused[0]
    codes = {failure.exit_code for failure in refused}
    alike = len(refused) == of and len(codes) == 1
    return Failure(
        f"The {decision} of {len(refused)} of {of} dead letters was refused.",
        details=[failure.explanation for failure in refused],
        exit_code=codes.pop() if alike else exit_codes.FAILED,
    )
