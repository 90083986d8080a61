"""From views to the JSON of the API: pure functions."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from patchline_gateway.history import cause_before_effect, traces_of
from patchline_gateway.shapes import (
    GroupItem,
    HeldLine,
    HistoryLine,
    InventoryItem,
    LetterDetail,
    LetterItem,
    NoticeItem,
    PackageItem,
    ProposalItem,
    TargetItem,
    UpdateDetail,
    UpdateLine,
    WaveLine,
    WaveStanding,
    WaveTargetLine,
)
from patchline_gateway.traces import links_of
from patchline_gateway.views import (
    DeadLetterView,
    GroupView,
    HistoryEntry,
    InventoryView,
    NoticeView,
    ProposalView,
    TargetView,
    UpdateView,
    WaveView,
)
from patchline_schemas.updates import Held
from patchline_schemas.values import WaveState

NOT_UNDER_WAY: frozenset[WaveState] = frozenset({"planned", "verified", "rolled-back", "failed", "cancelled"})
TARGETS_SHOWN = 500
"""How many targets an update shows; ``/v1/waves`` has them all."""


def update_line(view: UpdateView) -> UpdateLine:
    """An update in a listing."""
    return UpdateLine(
        id=view.id,
        component=view.component,
        to_version=view.to_version,
        kind=view.kind,
        state=view.state,
        urgency=view.urgency,
        due=view.due_at,
        closed=view.closed,
    )


def held_line(held: Held | None) -> HeldLine | None:
    """Why an update does not move."""
    return HeldLine(rule=held.rule, since=held.since, until=held.until, who=held.who) if held else None


def waves_under_way(view: UpdateView) -> list[WaveStanding]:
    """The waves of the newest round that have begun and not ended."""
    return [
        WaveStanding(id=wave.id, number=wave.number, group=wave.group, state=wave.state)
        for wave in view.waves
        if wave.round == view.round and wave.state not in NOT_UNDER_WAY
    ]


def update_detail(
    view: UpdateView,
    waves: Sequence[WaveView],
    history: Sequence[HistoryEntry],
    trace_address: str | None = None,
) -> UpdateDetail:
    """An update, whole; ``trace_address`` is where a UI shows a trace."""
    ordered = cause_before_effect(history)
    traces = traces_of([entry.trace_id for entry in ordered])
    kept = traces_of([entry.trace_id for entry in ordered if entry.trace_kept])
    return UpdateDetail(
        **update_line(view).model_dump(),
        held=held_line(view.held),
        error=view.error,
        superseded_by=view.superseded_by,
        waves=wave_lines(view, waves, most=TARGETS_SHOWN),
        history=[history_line(entry) for entry in ordered],
        traces=traces,
        trace_links=links_of(kept, trace_address),
    )


def history_line(entry: HistoryEntry) -> HistoryLine:
    """An event of an update's life."""
    return HistoryLine(
        type=entry.type,
        time=entry.time,
        source=entry.source,
        event_id=entry.id,
        cause_id=entry.cause_id,
        trace_id=entry.trace_id,
        summary=entry.summary,
    )


def wave_lines(
    view: UpdateView | None, waves: Sequence[WaveView], *, most: int | None = None
) -> list[WaveLine]:
    """Waves in order, in the states that planning says they are in; ``most`` limits the targets."""
    states = {progress.id: progress.state for progress in view.waves} if view else {}
    lines: list[WaveLine] = []
    left = most
    for wave in sorted(waves, key=lambda wave: (wave.round, wave.number)):
        line = wave_line(wave, states.get(wave.id, wave.state), most=left)
        left = None if left is None else left - len(line.targets)
        lines.append(line)
    return lines


def wave_line(wave: WaveView, state: WaveState, *, most: int | None = None) -> WaveLine:
    """A wave with its targets. What was pending when its wave was dropped is *not started*."""
    dropped = "cancelled" in (state, wave.state)
    return WaveLine(
        id=wave.id,
        round=wave.round,
        group=wave.group,
        state=state,
        starts_at=wave.starts_at,
        targets_total=len(wave.targets),
        targets=[
            WaveTargetLine(
                target=target_id,
                outcome="not-started" if dropped and line.outcome == "pending" else line.outcome,
                from_version=line.from_version,
                to_version=wave.to_version,
                error=line.error,
            )
            for target_id, line in sorted(wave.targets.items())[:most]
        ],
    )


def target_item(view: TargetView) -> TargetItem:
    """A target."""
    return TargetItem(
        id=view.id,
        group=view.group,
        driver=view.driver,
        path=view.path,
        packages_total=view.packages_total,
        runtime=view.runtime,
        collected_at=view.collected_at,
        inventory_error=view.inventory_error,
    )


def inventory_item(view: InventoryView) -> InventoryItem:
    """Everything a target has."""
    assert view.collected_at is not None, "an inventory view is made by an inventory"
    return InventoryItem(
        target=view.id,
        group=view.group,
        collected_at=view.collected_at,
        runtime=view.runtime,
        environment=view.environment,
        packages=[
            PackageItem(component=package.component, version=package.version) for package in view.packages
        ],
    )


def group_item(view: GroupView) -> GroupItem:
    """A group."""
    return GroupItem(
        name=view.id,
        criticality=view.criticality,
        exposure=view.exposure,
        window=view.window,
        approval=view.approval,
        contacts=list(view.contacts),
    )


def notice_item(view: NoticeView) -> NoticeItem:
    """A notice."""
    return NoticeItem(**view.model_dump(include=set(NoticeItem.model_fields)))


def proposal_item(view: ProposalView) -> ProposalItem:
    """A proposal."""
    return ProposalItem(**view.model_dump(include=set(ProposalItem.model_fields)))


def letter_item(view: DeadLetterView) -> LetterItem:
    """A dead letter in a listing."""
    return LetterItem(**view.model_dump(include=set(LetterItem.model_fields)))


def letter_detail(view: DeadLetterView) -> LetterDetail:
    """A dead letter, whole."""
    return LetterDetail(
        **letter_item(view).model_dump(),
        error=view.error,
        partition=view.partition,
        offset=view.offset,
        key=_text(view.key) if view.key else None,
        headers={name: _text(value) for name, value in view.headers},
        body=_text(view.value) if view.value else None,
    )


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="backslashreplace")
