"""``patchline update approve`` and its like: what a person decides about an update."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.session import Session, command
from patchline_cli.times import duration, iso
from patchline_cli.updates import UpdateId

Who = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the ledger.")]
Timeout = Annotated[str, typer.Option(help="How long to wait for the answer.")]
REVISION_HELP = "The plan that you mean; another one is refused. (default: the newest)"

_DOES = {
    "reject": "Say no: this round ends as rejected.",
    "cancel": "Stop it: what has not started is dropped, what runs ends and is verified.",
    "retry": "Open the next round, for the targets that still need it.",
    "pause": "Start nothing more of it until `resume`; what runs goes on to its end.",
    "resume": "Go on after a pause.",
}


def register_for_one(group: typer.Typer) -> None:
    """Add the commands about one update."""
    command(
        group,
        "approve",
        examples=[
            'patchline update approve jinja2-3.1.6-1a2b3c --as maria --reason "tested in the shop"',
            'patchline update approve jinja2-3.1.6-1a2b3c --as maria --reason "as planned" --plan-revision 2',
        ],
    )(approve)
    for action, does in _DOES.items():
        example = f'patchline update {action} jinja2-3.1.6-1a2b3c --as maria --reason "stocktaking"'
        command(group, action, examples=[example])(_decision(action, does))


def approve(
    session: Session,
    update_id: UpdateId,
    *,
    who: Who,
    reason: Reason,
    plan_revision: Annotated[int | None, typer.Option(help=REVISION_HELP)] = None,
    timeout: Timeout = "PT30S",
) -> None:
    """Say yes to the plan: the update may roll out."""
    decide(
        session,
        f"/v1/updates/{update_id}/approve",
        who=who,
        reason=reason,
        timeout=timeout,
        plan_revision=plan_revision,
    )


def decide(
    session: Session, path: str, *, who: str, reason: str, timeout: str, plan_revision: int | None = None
) -> None:
    """Ask, wait for planning's answer, and print it. Raises :class:`Failure` when it refuses."""
    for option, given in (("--as", who), ("--reason", reason)):
        if not given.strip():
            raise wrong_use(f"{option} is empty.", fix="Say who decides and why; the ledger keeps both.")
    limit = duration(timeout)
    body: dict[str, Any] = {"who": who, "reason": reason}
    if plan_revision is not None:
        body["plan_revision"] = plan_revision
    answer = session.client.post(path, body, {"timeout": iso(limit)}, wait=limit.total_seconds())
    update_id = answer["update_id"]
    if not session.output.is_table:
        session.output.data(answer)
    elif not answer["pending"]:
        now = f" It is {answer['state']}." if answer["state"] else ""
        effect = answer["effect"].rstrip(".")
        said = f"{update_id}: {effect}." if update_id else f"{effect[:1].upper()}{effect[1:]}."
        session.output.line(said + now)
        session.output.next(f"patchline update wait {update_id}" if update_id else "patchline updates")
    if answer["pending"]:
        raise Failure(
            f"No answer after {timeout}; the request {answer['request_id']} is kept and will be answered.",
            fix="`patchline doctor` says whether a service is down.",
            exit_code=exit_codes.STILL_RUNNING,
        )


def _decision(action: str, does: str) -> Any:
    def run(
        session: Session, update_id: UpdateId, who: Who, reason: Reason, timeout: Timeout = "PT30S"
    ) -> None:
        decide(session, f"/v1/updates/{update_id}/{action}", who=who, reason=reason, timeout=timeout)

    run.__doc__ = does
    return run
