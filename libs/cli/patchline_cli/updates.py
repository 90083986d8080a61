"""``patchline updates``, ``update show`` and ``explain``: where updates are, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer

from patchline_cli.completions import ids_of
from patchline_cli.failures import wrong_use
from patchline_cli.output import Column, Output, count, state_style
from patchline_cli.session import Session, command
from patchline_cli.times import relative
from patchline_schemas.notices import NoticeDelayed
from patchline_schemas.values import UpdateState


def _usable_id(text: str) -> str:
    """An id as it may stand in an address. Raises :class:`Failure` for one that no update can have."""
    if not text.strip() or set(text) & set("/?#%"):
        raise wrong_use(f"There is no update {text!r}.", fix="`patchline updates` lists those there are.")
    return text


UpdateId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The update's id, as `patchline updates` shows it.",
        callback=_usable_id,
        autocompletion=ids_of("/v1/updates"),
    ),
]
STATES = UpdateState.__args__  # type: ignore[attr-defined]
COLUMNS = (
    Column("ID", lambda item: item["id"]),
    Column("STATE", lambda item: item["state"], style=state_style),
    Column("KIND", lambda item: item["kind"], rank=2),
    Column("URGENCY", lambda item: item["urgency"] or "-", rank=1),
    Column("DUE", lambda item: relative(item["due"])),
    Column("CLOSED", lambda item: relative(item["closed"]), rank=3),
    Column("COMPONENT", lambda item: item["component"], rank=5),
    Column("TO", lambda item: item["to_version"], rank=4),
)
WAVE_TARGETS = (
    Column("WAVE", lambda row: row["wave"]),
    Column("GROUP", lambda row: row["group"], rank=2),
    Column("STATE", lambda row: row["state"], style=state_style),
    Column("TARGET", lambda row: row["target"]),
    Column("OUTCOME", lambda row: row["outcome"], style=state_style),
    Column("FROM", lambda row: row["from_version"] or "-", rank=1),
    Column("ERROR", lambda row: first_line(row["error"]), rank=3, wrap=True),
)
HISTORY = (
    Column("WHEN", lambda item: item["time"][5:19].replace("T", " ")),
    Column("SOURCE", lambda item: item["source"], rank=1),
    Column("WHAT", lambda item: item["summary"], wrap=True),
)


def register(app: typer.Typer) -> None:
    """Add the commands to the top."""
    command(
        app,
        "updates",
        examples=["patchline updates", "patchline updates --state awaiting-approval -o json"],
    )(updates)
    command(app, "explain", examples=["patchline explain jinja2-3.1.6-1a2b3c"])(explain)


def register_for_one(group: typer.Typer) -> None:
    """Add the commands about one update."""
    command(
        group,
        "show",
        examples=[
            "patchline update show jinja2-3.1.6-1a2b3c",
            "patchline update show jinja2-3.1.6-1a2b3c -o json",
        ],
    )(show)


def updates(
    session: Session,
    state: Annotated[str | None, typer.Option(help=f"Only those in one state: {', '.join(STATES)}.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> None:
    """List updates and where they are."""
    if state and state not in STATES:
        raise wrong_use(f"{state!r} is no state.", fix=f"States are: {', '.join(STATES)}.")
    one_more = limit and limit + 1
    found = session.client.pages("/v1/updates", {"state": state}, most=one_more)
    empty = f"No update is {state}." if state else "No update yet. Publish one: patchline feed publish FILE"
    session.output.listing(islice(found, limit), COLUMNS, empty=empty)
    if limit and next(found, None) is not None:
        session.output.say(f"There are more than {count(limit, 'update')}; without --limit all are listed.")


def show(session: Session, update_id: UpdateId) -> None:
    """Show one update: what holds it, its waves and targets, its history."""
    detail = session.client.get(f"/v1/updates/{update_id}")
    if session.output.is_table:
        _show(session.output, detail)
    else:
        session.output.data(detail)


def explain(session: Session, update_id: UpdateId) -> None:
    """Say in sentences why an update is where it is, what holds it, and who can release it."""
    answer = session.client.get(f"/v1/updates/{update_id}/explain")
    if not session.output.is_table:
        session.output.data(answer)
        return
    for sentence in answer["sentences"]:
        session.output.line(sentence)
    session.output.next(*answer["next"])


def held_in_words(held: dict[str, Any] | None, now: datetime | None = None) -> str | None:
    """What holds an update, in one line."""
    if held is None:
        return None
    end = relative(held["until"], now)
    until = f", ends {end}" if end == "now" or end.startswith("in ") else ""
    who = f"; can be released by: {held['who']}" if held["who"] else ""
    return f"{held['rule']} (began {relative(held['since'], now)}{until}){who}"


def first_line(text: str | None) -> str:
    """The last line of a tool's output usually says what went wrong."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _trace(trace_id: str, links: Sequence[str]) -> str:
    """Where one sees a trace; its id where no UI is known, or the sampler did not keep it."""
    return next((link for link in links if trace_id in link), trace_id)


def _show(output: Output, detail: dict[str, Any]) -> None:
    facts = {
        "Update": f"{detail['component']} {detail['to_version']} ({detail['kind']})",
        "State": detail["state"],
        "Held by": held_in_words(detail["held"]),
        "Error": detail["error"],
        "Superseded by": detail["superseded_by"],
        "Urgency": detail["urgency"],
        "Due": detail["due"] and f"{detail['due']} ({relative(detail['due'])})",
        "Closed": detail["closed"] and f"{detail['closed']} ({relative(detail['closed'])})",
        "Traces": ", ".join(_trace(id_, detail["trace_links"]) for id_ in detail["traces"]),
    }
    width = max(len(name) for name, value in facts.items() if value) + 2
    output.line(detail["id"], style="bold")
    for name, value in facts.items():
        if value:
            output.line(f"{name + ':':<{width}}{value}", style=state_style(value) if name == "State" else "")
    rows = [
        {
            **target,
            "wave": f"{wave['round']}.{wave['id'].rpartition('.w')[2]}",
            "group": wave["group"],
            "state": wave["state"],
        }
        for wave in detail["waves"]
        for target in wave["targets"]
    ]
    if rows:
        output.line("")
        output.table(rows, WAVE_TARGETS)
    total = sum(wave["targets_total"] for wave in detail["waves"])
    if total > len(rows):
        output.say(f"{len(rows)} of {count(total, 'target')}; all: patchline waves {detail['id']} -o jsonl")
    shown = [line for line in detail["history"] if line["type"] != NoticeDelayed.TYPE]
    if shown:
        output.line("")
        output.table(shown, HISTORY)
    if attempts := len(detail["history"]) - len(shown):
        output.say(
            f"{count(attempts, 'failed attempt')} to tell a contact not shown; "
            f"patchline notices --update {detail['id']}"
        )
