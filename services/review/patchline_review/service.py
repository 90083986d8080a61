"""Review: looks at each ended round for late, failed and unplanned, and proposes better policies."""

from __future__ import annotations

from pathlib import Path

from patchline_kit.context import Context
from patchline_kit.service import Service
from patchline_review.case import Case, Mark
from patchline_review.findings import reviewed
from patchline_review.history import GroupHistory, Learn, lessons
from patchline_review.measuring import MEASURED, case_id, note
from patchline_review.patch import CannotPatch, unified_diff, with_value
from patchline_review.proposals import Proposal, proposals
from patchline_review.settings import Settings
from patchline_schemas import Event
from patchline_schemas.fleet import GroupRegistered
from patchline_schemas.policies import PolicyProposed
from patchline_schemas.updates import UpdateReviewed

service = Service("review", emits=[UpdateReviewed, PolicyProposed], settings=Settings)


@service.on(*MEASURED)
async def measure(event: Event, ctx: Context) -> None:
    """Take the event into its update's case; review a round once all of it is here."""
    if ctx.envelope is None:
        raise TypeError("only events are measured")
    update_id = case_id(event)
    case = await ctx.load(Case, update_id) or ctx.create(Case(id=update_id))
    note(case, event, Mark(at=ctx.envelope.time, event_id=ctx.envelope.id))
    case.look(ctx.now, ctx.setting(Settings).review_patience)


@service.wakes(Case)
async def review(case: Case, ctx: Context) -> None:
    """Review what is documented and complete, or has waited long enough."""
    patience = ctx.setting(Settings).review_patience
    for number in case.ready(lambda since: ctx.deadline_passed(since, patience)):
        case.rounds[number].reviewed = True
        ctx.emit(reviewed(case, number), part=str(number))
        for lesson in lessons(case, number):
            ctx.send(lesson)
    case.look(ctx.now, patience)


@service.on(GroupRegistered)
async def know_group(event: GroupRegistered, ctx: Context) -> None:
    """Remember a group's window and policies."""
    name = event.group.name
    history = await ctx.load(GroupHistory, name) or ctx.create(GroupHistory(id=name))
    history.register(event.group, event.revision, ctx.envelope.time if ctx.envelope else ctx.now)


@service.on(Learn)
async def learn(message: Learn, ctx: Context) -> None:
    """Remember how a round went for a group; see whether that asks for another policy."""
    history = await ctx.load(GroupHistory, message.to) or ctx.create(GroupHistory(id=message.to))
    if history.learn(message.past):
        history.wake_at = ctx.now


@service.wakes(GroupHistory)
async def propose(history: GroupHistory, ctx: Context) -> None:
    """Propose what the group's history asks for, each value once."""
    if history.group is None or not history.past:
        return
    fleet = ctx.setting(Settings).fleet
    for proposal in proposals(history.relevant(), history.group):
        if history.proposed.get(proposal.rule) == str(proposal.value):
            continue
        history.proposed[proposal.rule] = str(proposal.value)
        patch, hint = _patch(fleet, history.id, proposal)
        ctx.emit(
            PolicyProposed(
                update_id=history.past[-1].update_id,
                group=history.id,
                reason=proposal.reason + hint,
                evidence=proposal.evidence,
                patch=patch,
            ),
            part=proposal.rule,
        )


def _patch(fleet: Path | None, group: str, proposal: Proposal) -> tuple[str, str]:
    """The patch, or none and a sentence that says what to change by hand."""
    by_hand = f" Set {'.'.join(proposal.path)} of {group} to {proposal.value}"
    if fleet is None:
        return "", f"{by_hand}; the fleet file is not known here."
    try:
        text = fleet.read_text()
        return unified_diff(text, with_value(text, group, proposal.path, proposal.value), fleet.name), ""
    except (OSError, UnicodeDecodeError) as error:
        return "", f"{by_hand}; the fleet file cannot be read here ({error})."
    except CannotPatch as error:
        return "", f"{by_hand} by hand: {error}."
