"""``patchline update wait``: until an update is where one wants it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import count
from patchline_cli.progress import Progress
from patchline_cli.session import Session, command
from patchline_cli.times import duration, iso
from patchline_cli.updates import STATES, UpdateId, held_in_words
from patchline_schemas.values import TERMINAL_STATES

GOOD_ENDINGS = frozenset({"completed", "not-applicable"})
WAVES_NAMED = 3
LOOK = 2.0
"""Seconds that one call waits at the server: what is shown meanwhile is no older."""


def register_for_one(group: typer.Typer) -> None:
    """Add the command about one update."""
    command(
        group,
        "wait",
        examples=[
            "patchline update wait jinja2-3.1.6-1a2b3c",
            "patchline update wait jinja2-3.1.6-1a2b3c --for awaiting-approval --timeout PT5M",
        ],
    )(wait)


def wait(
    session: Session,
    update_id: UpdateId,
    goal: Annotated[
        str | None,
        typer.Option("--for", metavar="STATE|closed", help="What to wait for. (default: closed, and well)"),
    ] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait at most.")] = "PT30M",
) -> None:
    """Wait until an update reaches a state, or is closed.

    Ends with 0 when it does, 1 when it ends another way, 5 when the time is over. Without --for, 0 means
    that the update is closed and was completed or not needed.
    """
    if goal is not None and goal not in (*STATES, "closed"):
        raise wrong_use(f"{goal!r} is no state.", fix=f"Wait for closed, or one of: {', '.join(STATES)}.")
    answer = _wait(session, update_id, goal or "closed", duration(timeout))
    update = answer["update"]
    well = answer["reached"] and (goal is not None or update["state"] in GOOD_ENDINGS)
    if session.output.is_table:
        session.output.line(_in_words(answer))
    else:
        session.output.data({**update, "held": answer["held"], "error": answer["error"]})
    if not answer["reached"] and not answer["ended"]:
        raise Failure(
            f"{update_id} is not {goal or 'closed'} after {timeout}; the work goes on.",
            fix=f"`patchline explain {update_id}` says what it waits for.",
            exit_code=exit_codes.STILL_RUNNING,
        )
    if not well:
        said = f": {answer['error']}" if answer["error"] else "."
        raise Failure(
            f"{update_id} ended as {update['state']}{said}",
            fix=f"`patchline report {update_id}` has the whole story.",
        )


def _wait(session: Session, update_id: str, goal: str, limit: timedelta) -> Any:
    deadline = time.monotonic() + limit.total_seconds()
    since, look = 0, 0.0  # the first answer comes at once: somebody may be looking on
    with Progress(session.output.err) as progress:
        while True:
            left = min(look, max(0.0, deadline - time.monotonic()))
            answer = session.client.get(
                f"/v1/updates/{update_id}/wait",
                {"for": goal, "since": since, "timeout": iso(timedelta(seconds=left))},
                wait=left,
            )
            since, look = answer["sequence"], LOOK
            if answer["reached"] or answer["ended"] or time.monotonic() >= deadline:
                return answer
            progress.show(_in_words(answer), change=_standing(answer))


def _in_words(answer: Any) -> str:
    update, held = answer["update"], held_in_words(answer["held"])
    ended = update["state"] in TERMINAL_STATES and not update["closed"]
    under_way = "its report is being written" if ended else waves_in_words(answer.get("waves", ()))
    return (
        f"{update['id']} is {update['state']}"
        + (f": {under_way}" if under_way else "")
        + (f", held by {held}" if held else "")
    )


def waves_in_words(waves: Sequence[Mapping[str, Any]]) -> str:
    """``wave 1 (intranet) soaking, wave 2 (shop) deploying``; of many the first ones."""
    named = [f"wave {wave['number']} ({wave['group']}) {wave['state']}" for wave in waves[:WAVES_NAMED]]
    more = [count(len(waves) - WAVES_NAMED, "more wave")] if len(waves) > WAVES_NAMED else []
    return ", ".join(named + more)


def _standing(answer: Any) -> str:
    """Where the update stands, without the times that pass by themselves."""
    rule = answer["held"] and answer["held"]["rule"]
    return f"{answer['update']['state']} {waves_in_words(answer['waves'])} {rule}"
