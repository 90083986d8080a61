"""What is told of an update as a whole, to every group that it concerns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from patchline_communication import texts
from patchline_communication.declaration import service
from patchline_communication.documents import UpdateNews
from patchline_communication.telling import news_of, tell
from patchline_fleet.registry import known_target
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_schemas.notices import Occasion
from patchline_schemas.updates import (
    RetractionAssessed,
    UpdateAssessed,
    UpdateCompleted,
    UpdateDue,
    UpdateDueSoon,
    UpdateFailed,
    UpdateOverdue,
    UpdatePlanned,
    UpdateProgressed,
    UpdateTestFailed,
)


@service.on(UpdateAssessed)
async def know_affected_groups(event: UpdateAssessed, ctx: Context) -> None:
    """Remember what the update is about, and whom it concerns as long as there is no plan."""
    news = await ctx.load(UpdateNews, event.update_id) or ctx.create(
        UpdateNews(
            id=event.update_id, revision=0, component=event.component, to_version=event.version, groups=()
        )
    )
    if news.revision:
        raise Stale(f"plan {news.revision} says whom it concerns")
    affected = [target.group for target in event.targets if target.status == "affected"]
    news.groups = tuple(dict.fromkeys([*news.groups, *affected]))
    news.advisories, news.notes_url = event.advisories, event.notes_url


@service.on(UpdatePlanned)
async def know_plan(event: UpdatePlanned, ctx: Context) -> None:
    """Remember what the update is about and whom it concerns."""
    facts = {
        "revision": event.revision,
        "component": event.component,
        "to_version": event.version,
        "groups": tuple(dict.fromkeys(wave.group for wave in event.waves)),
        "waves_total": len(event.waves),
        "advisories": event.advisories,
        "notes_url": event.notes_url,
        "approval": event.approval,
    }
    news = await ctx.load(UpdateNews, event.update_id)
    if news is None:
        ctx.create(UpdateNews.model_validate({"id": event.update_id, **facts}))
    elif news.revision < event.revision:
        for name, value in facts.items():
            setattr(news, name, value)
    else:
        raise Stale(f"plan {news.revision} is known")


@service.on(UpdateTestFailed)
async def tell_of_failed_test(event: UpdateTestFailed, ctx: Context) -> None:
    """Tell that an update was stopped before it touched anything."""
    news = await news_of(event.update_id, _test_failed(event.round), ctx)
    text = texts.failed(texts.about(news), "a copy", event.error, "No target was touched.")
    await tell(ctx, news.groups, "failed", text, update_id=event.update_id, which=f"test {event.revision}")


@service.on(UpdateCompleted)
async def tell_of_completion(event: UpdateCompleted, ctx: Context) -> None:
    """Tell that all is done that is known, where that says more than the end of a single wave."""
    news = await news_of(event.update_id, f"completed {event.round}", ctx)
    if news.waves_total > 1 or event.unknown_total:
        text = texts.completed(news, event.unknown_total)
        await tell(ctx, news.groups, "ended", text, update_id=event.update_id, which=f"round {event.round}")


@service.on(UpdateFailed)
async def tell_of_the_end(event: UpdateFailed, ctx: Context) -> None:
    """Tell that an update ended without success, unless a failed test has told that already."""
    news = await news_of(event.update_id, f"failed {event.round}", ctx)
    if _test_failed(event.round) not in news.told:
        text = texts.gave_up(news, event.error)
        await tell(ctx, news.groups, "failed", text, update_id=event.update_id, which=f"round {event.round}")


@service.on(UpdateProgressed)
async def tell_of_waiting(event: UpdateProgressed, ctx: Context) -> None:
    """Tell that an update waits for a person: for approval once a plan, for help once a round."""
    if event.state == "awaiting-approval":
        news = await news_of(event.update_id, f"awaiting-approval {event.revision}", ctx)
        occasion: Occasion = "awaiting-approval"
        text, which = texts.awaiting_approval(news), str(event.revision)
    elif event.state == "needs-person":
        which = f"round {event.round}"
        news = await news_of(event.update_id, f"needs-person {which}", ctx)
        occasion = "needs-person"
        text = texts.needs_person(news, event.error or "The update cannot go on by itself.")
    else:
        raise Stale("only what waits for a person is told")
    await tell(ctx, news.groups, occasion, text, update_id=event.update_id, which=which)


@service.on(UpdateDueSoon, UpdateOverdue)
async def tell_of_due_date(event: UpdateDue, ctx: Context) -> None:
    """Tell that a due date is near, or past."""
    over = isinstance(event, UpdateOverdue)
    occasion: Occasion = "overdue" if over else "due-soon"
    news = await news_of(event.update_id, f"{occasion} {event.due_at.isoformat()}", ctx)
    text = texts.due(news, event.due_at, event.held, over=over)
    await tell(ctx, news.groups, occasion, text, update_id=event.update_id, which=event.due_at.isoformat())


@service.on(RetractionAssessed)
async def tell_of_retraction(event: RetractionAssessed, ctx: Context) -> None:
    """Tell the groups in which a withdrawn version is, or was when last asked; each change once."""
    has_it = await _by_group(event.installed_on, ctx)
    had_it = await _by_group(event.last_seen_on, ctx)
    groups = tuple(dict.fromkeys([*has_it, *had_it]))
    news = await ctx.load(UpdateNews, event.update_id)
    if news is None:
        if not groups:
            raise Stale("it is installed nowhere")
        about = {"component": event.component, "to_version": event.version, "groups": groups}
        news = ctx.create(UpdateNews.model_validate({"id": event.update_id, "revision": 0, **about}))
    what = texts.subject_of(event.component, event.version)
    told_before, news.withdrawn_from = news.withdrawn_from, {}
    for group in groups:
        text = texts.retracted(what, event.reason, group, has_it=has_it[group], had_it=had_it[group])
        news.withdrawn_from[group] = text.body
        if told_before.get(group) != text.body:
            which = f"{group} {event.revision}"
            await tell(ctx, [group], "retracted", text, update_id=event.update_id, which=which)


async def _by_group(target_ids: Sequence[str], ctx: Context) -> dict[str, list[str]]:
    by_group: dict[str, list[str]] = defaultdict(list)
    for target_id in target_ids:
        known = await known_target(target_id, ctx)
        if known.target is not None:
            by_group[known.target.group].append(target_id)
    return by_group


def _test_failed(round_: int) -> str:
    """What the telling of a round's failed test is remembered by."""
    return f"test-failed {round_}"
