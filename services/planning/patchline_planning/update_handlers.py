"""What happens to an update, from its assessment to the end of its round, and what people ask."""

from __future__ import annotations

from collections.abc import Callable

from patchline_kit.context import Context
from patchline_kit.outcomes import Early, Stale
from patchline_planning import answers, endings, newer_versions, notices, rollout, rounds
from patchline_planning.answers import Unplanned
from patchline_planning.approvals import Refusal
from patchline_planning.declaration import service
from patchline_planning.fleet import FLEET, AssessedPage, FleetSwitch, KnownGroup, page_id, tell_plans
from patchline_planning.machine import UPDATE
from patchline_planning.messages import LookAgain, PageArrived, Supersede, WaveMoved
from patchline_planning.plan import Ending, Plan
from patchline_schemas.feeds import UpdateRetracted
from patchline_schemas.fleet import GroupRegistered
from patchline_schemas.notices import NoticeFailed, NoticeSent
from patchline_schemas.requests import RequestAccepted, RequestRefused, RequestSubmitted
from patchline_schemas.updates import UpdateAssessed, UpdateTested, UpdateTestFailed
from patchline_schemas.values import UpdateState

# The fleet ---------------------------------------------------------------------------------------


@service.on(GroupRegistered)
async def remember_group(event: GroupRegistered, ctx: Context) -> None:
    """Keep the group's rules; plans with waves ahead of it look again if those have changed."""
    known = await ctx.load(KnownGroup, event.group.name)
    if known is None:
        known = ctx.create(KnownGroup(id=event.group.name, revision=event.revision, group=event.group))
    elif event.revision < known.revision:
        raise Stale(f"group {known.id} is at revision {known.revision} of the fleet file")
    elif known.learns(event):
        known.telling_after, known.wake_at = "", ctx.now
    known.revision, known.group, known.freezes = event.revision, event.group, event.freezes


@service.wakes(KnownGroup)
async def tell_of_group(group: KnownGroup, ctx: Context) -> None:
    """Tell the next plans that the group has changed."""
    await tell_plans(group, f"group:{group.id}", ctx)


@service.wakes(FleetSwitch)
async def tell_of_halt(switch: FleetSwitch, ctx: Context) -> None:
    """Tell the next plans that everything is halted, or goes on."""
    await tell_plans(switch, "live", ctx)


# From assessed to approved -----------------------------------------------------------------------


@service.on(UpdateAssessed)
async def keep_page(event: UpdateAssessed, ctx: Context) -> None:
    """Keep a page of an assessment; early while one of its groups is unknown."""
    for name in sorted({target.group for target in event.targets if target.status == "affected"}):
        if await ctx.read(KnownGroup, name) is None:
            raise Early(f"group {name} is not registered yet", waits_for=(KnownGroup, name))
    page = await ctx.load(AssessedPage, page_id(event.update_id, event.page))
    if page is None:
        page = ctx.create(
            AssessedPage(id=page_id(event.update_id, event.page), revision=event.revision, targets=())
        )
    elif page.revision > event.revision:
        raise Stale(f"a page of revision {page.revision} is here already")
    page.revision, page.targets = event.revision, event.targets
    ctx.send(PageArrived(to=event.update_id, head=event.model_copy(update={"targets": (), "inputs": ()})))


@service.on(PageArrived)
async def collect(message: PageArrived, ctx: Context) -> None:
    """Once all pages of an assessment are in, plan by it."""
    plan = await ctx.load(Plan, message.to) or ctx.create(Plan(id=message.to, round=1))
    if rounds.all_pages_in(plan, message.head):
        await rounds.consider(plan, ctx)
        await rollout.settle(plan, ctx)


@service.wakes(Plan)
async def look_after(plan: Plan, ctx: Context) -> None:
    """A plan's time has come: a window, a deadline, a due date, or more to open."""
    await rollout.wake(plan, ctx)


@service.on(LookAgain)
async def look_again(message: LookAgain, ctx: Context) -> None:
    """A group, or a halt, has changed."""
    plan = await ctx.require(Plan, message.to)
    await rounds.follow_groups(plan, ctx)
    await newer_versions.compare(plan, ctx)
    await rollout.settle(plan, ctx)


@service.on(UpdateTested)
async def test_passed(event: UpdateTested, ctx: Context) -> None:
    """The update works in copies: approvals come next."""
    plan = await _plan_in_test(event, ctx)
    rollout.tested(plan)
    await rollout.settle(plan, ctx)


@service.on(UpdateTestFailed)
async def test_failed(event: UpdateTestFailed, ctx: Context) -> None:
    """The update broke a copy: no real target is touched."""
    plan = await _plan_in_test(event, ctx)
    plan.ending = Ending(outcome="failed", by="testing", reason=event.error)
    await rollout.settle(plan, ctx)


@service.on(UpdateRetracted)
async def retracted(event: UpdateRetracted, ctx: Context) -> None:
    """The vendor withdrew the version: what has not started does not start."""
    plan = await ctx.load(Plan, event.update_id) or ctx.create(Plan(id=event.update_id, round=1))
    plan.retracted = event.reason
    endings.cancel(plan, rounds.retraction(event.reason))
    await rollout.settle(plan, ctx)


@service.on(Supersede)
async def superseded(message: Supersede, ctx: Context) -> None:
    """A newer update takes this one's place."""
    plan = await ctx.require(Plan, message.to)
    endings.cancel(plan, newer_versions.ending_by(message.by, message.by_version))
    await rollout.settle(plan, ctx)


@service.on(NoticeSent)
async def notice_sent(event: NoticeSent, ctx: Context) -> None:
    """A contact knows of a wave: where a policy requires that, the wave may be free to start."""
    await _noticed(event, ctx)


@service.on(NoticeFailed)
async def notice_failed(event: NoticeFailed, ctx: Context) -> None:
    """A contact could not be told: where a policy requires it, a person decides."""
    if event.required:
        await _noticed(event, ctx)


# What people ask ---------------------------------------------------------------------------------


@service.on(RequestSubmitted)
async def answer(event: RequestSubmitted, ctx: Context) -> None:
    """Carry a person's request out, or say which rule refuses it."""
    if event.action == "publish":
        return
    if event.update_id is None:
        switch = await ctx.load(FleetSwitch, FLEET) or ctx.create(FleetSwitch(id=FLEET))
        _reply(event, ctx, lambda: answers.switch(switch, event, ctx.now))
        return
    if await ctx.read(Plan, event.update_id) is None:
        ctx.create(Unplanned(id=ctx.cause_id))
        _reply(event, ctx, lambda: answers.answer(None, event, ctx.now))
        return
    plan = await ctx.require(Plan, event.update_id)
    _reply(event, ctx, lambda: answers.answer(plan, event, ctx.now))
    if event.action == "resume":
        await newer_versions.compare(plan, ctx)
    await rollout.settle(plan, ctx)


@service.on(WaveMoved)
async def wave_moved(message: WaveMoved, ctx: Context) -> None:
    """A wave says where it is: the next one may be due, or the round may be over."""
    plan = await ctx.require(Plan, message.to)
    await rollout.wave_moved(plan, message, ctx)
    await rollout.settle(plan, ctx)


async def _plan_in_test(event: UpdateTested | UpdateTestFailed, ctx: Context) -> Plan:
    plan = await ctx.require(Plan, event.update_id)
    expected: tuple[UpdateState, ...] = ("testing",)
    moment = UPDATE.moment(plan.state, expected)
    if event.revision < plan.revision or moment == "stale":
        raise Stale(f"the plan is at revision {plan.revision} and {plan.state}")
    if event.revision > plan.revision or moment == "early":
        raise Early(f"the plan is at revision {plan.revision} and {plan.state}", waits_for=(Plan, plan.id))
    return plan


async def _noticed(event: NoticeSent | NoticeFailed, ctx: Context) -> None:
    """Few policies require notices, so the plan is looked at before it is taken to be changed."""
    if not notices.counts(await ctx.read(Plan, event.update_id), event):
        return
    plan = await ctx.require(Plan, event.update_id)
    notices.note(plan, event)
    await rollout.settle(plan, ctx)


def _reply(request: RequestSubmitted, ctx: Context, carry_out: Callable[[], str]) -> None:
    asked = {
        "request_id": ctx.cause_id,
        "action": request.action,
        "update_id": request.update_id,
        "who": request.who,
    }
    try:
        ctx.emit(RequestAccepted(**asked, effect=carry_out()))
    except Refusal as refusal:
        ctx.emit(RequestRefused(**asked, rule=refusal.rule, explanation=refusal.explanation))
