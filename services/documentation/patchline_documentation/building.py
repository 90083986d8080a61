"""A report from the ledger's facts about one round of one update: a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from patchline_documentation import issues, narrative, people
from patchline_documentation.facts import Fact, in_causal_order, of_round
from patchline_documentation.report import (
    MOST_ROWS,
    AdvisoryLine,
    ChainLine,
    InputLine,
    IssueLine,
    Report,
    TimelineLine,
)
from patchline_documentation.rollout import Rollout, rollout
from patchline_documentation.summary import Story, due_met, due_sentence, headline, summary
from patchline_documentation.wording import package_name, sentence, without_secrets
from patchline_schemas import Event, feeds, updates
from patchline_schemas.values import UpdateState

E = TypeVar("E", bound=Event)

ENDINGS: dict[type[Event], UpdateState] = {
    updates.UpdateCompleted: "completed",
    updates.UpdateFailed: "failed",
    updates.UpdateCancelled: "cancelled",
    updates.UpdateRejected: "rejected",
    updates.UpdateNotApplicable: "not-applicable",
}
"""The events that end a round, and the state that they end it in."""

Ending = updates.UpdateEnded | updates.UpdateRejected


def build_report(
    facts: Iterable[Fact], ending_id: str, *, written_at: datetime, missing_cause: str | None = None
) -> Report:
    """The report on the round that the event ``ending_id`` ended.

    Raises :class:`ValueError` if that event is not among the facts.
    """
    every = list(facts)
    end = next((fact for fact in every if fact.id == ending_id), None)
    if end is None or type(end.event) not in ENDINGS:
        raise ValueError(f"the ledger's facts hold no ending {ending_id}")
    ending: Ending = end.event  # type: ignore[assignment]
    ordered = in_causal_order(of_round(every, ending.round))
    ran = rollout(ordered)
    found = tuple(issues.issues(ordered))
    story = _story(ordered, end, ending, ran, found)
    timeline = tuple(_timeline(ordered))
    assessed, planned, published = story.assessed, story.planned, story.published
    return Report(
        update_id=ending.update_id,
        round=ending.round,
        component=ending.component,
        name=package_name(ending.component),
        version=ending.version,
        vendor=published.vendor if published else assessed.vendor if assessed else None,
        kind=planned.kind
        if planned
        else published.kind
        if published
        else assessed.kind
        if assessed
        else None,
        urgency=assessed.urgency if assessed else None,
        notes_url=published.notes_url if published else assessed.notes_url if assessed else None,
        restart_required=bool(published and published.restart_required),
        outcome=story.outcome,
        headline=headline(story),
        summary=summary(story),
        released_at=published.released_at if published else assessed.released_at if assessed else None,
        published_at=story.published_at,
        published_by=published.published_by if published else assessed.published_by if assessed else None,
        due_at=story.due_at,
        due_rule=assessed.due_rule if assessed else None,
        due_met=due_met(story),
        due_sentence=due_sentence(story),
        ended_at=end.time,
        affected_total=assessed.affected_total if assessed else None,
        not_affected_total=assessed.not_affected_total if assessed else None,
        unknown_total=assessed.unknown_total if assessed else None,
        advisories=_advisories(ordered),
        inputs=tuple(
            InputLine(name=each.name, value=each.value, origin=without_secrets(each.origin))
            for each in (assessed.inputs if assessed else ())
        ),
        waves=tuple(sorted(ran.waves.values(), key=lambda line: line.number)),
        targets=ran.shown_targets(),
        targets_total=len(ran.targets),
        tests=people.tests(_tested(ordered)),
        test_error=story.test_error,
        backups=tuple(list(ran.backups.values())[:MOST_ROWS]),
        backups_total=len(ran.backups),
        approval_rule=planned.approval if planned else None,
        approvals=tuple(people.approvals(ordered)),
        requests=tuple(people.asked(ordered)),
        rollback_plan=planned.rollback if planned else (),
        issues=found,
        notices=tuple(people.told(ordered)),
        timeline=timeline[:MOST_ROWS],
        timeline_total=len(timeline),
        chains=_chains(ordered),
        traces=tuple(dict.fromkeys(fact.trace_id for fact in ordered if fact.trace_id)),
        events_total=len(ordered),
        missing_cause=missing_cause,
        written_at=written_at,
    )


def _story(
    facts: Sequence[Fact], end: Fact, ending: Ending, ran: Rollout, found: tuple[IssueLine, ...]
) -> Story:
    assessed = _assessed(facts)
    tested = _last(facts, updates.UpdateTestFailed)
    published = _last(facts, feeds.UpdatePublished)
    due_at = getattr(ending, "due_at", None) or (assessed.due_at if assessed else None)
    published_at = assessed.published_at if assessed else None
    if published_at is None:
        published_at = next((f.time for f in facts if isinstance(f.event, feeds.UpdatePublished)), None)
    return Story(
        outcome=ENDINGS[type(ending)],
        ending=ending,
        ended_at=end.time,
        published_at=published_at,
        due_at=due_at,
        published=published,
        assessed=assessed,
        planned=_last(facts, updates.UpdatePlanned),
        test_error=without_secrets(tested.error) if tested else None,
        waves=tuple(sorted(ran.waves.values(), key=lambda line: line.number)),
        targets=tuple(ran.targets.values()),
        approvals=tuple(people.approvals(facts)),
        issues=found,
    )


def _last(facts: Sequence[Fact], kind: type[E]) -> E | None:
    return next((fact.event for fact in reversed(facts) if isinstance(fact.event, kind)), None)


def _assessed(facts: Sequence[Fact]) -> updates.UpdateAssessed | None:
    """The assessment that found most to do: later ones of the round find what is done already."""
    found = [fact.event for fact in facts if isinstance(fact.event, updates.UpdateAssessed)]
    return max(reversed(found), key=lambda event: event.affected_total, default=None)


def _tested(facts: Sequence[Fact]) -> updates.UpdateTested | updates.UpdateTestFailed | None:
    kinds = (updates.UpdateTested, updates.UpdateTestFailed)
    return next((fact.event for fact in reversed(facts) if isinstance(fact.event, kinds)), None)


def _advisories(facts: Sequence[Fact]) -> tuple[AdvisoryLine, ...]:
    found: dict[str, AdvisoryLine] = {}
    for fact in facts:
        if isinstance(fact.event, feeds.UpdatePublished | feeds.AdvisoryPublished):
            for each in fact.event.advisories:
                found[each.id] = AdvisoryLine(
                    id=each.id, severity=each.severity, exploited=each.exploited, summary=each.summary
                )
        elif isinstance(fact.event, updates.UpdateAssessed):
            for id_ in fact.event.advisories:
                found.setdefault(id_, AdvisoryLine(id=id_))
    return tuple(found.values())


def _timeline(facts: Sequence[Fact]) -> Iterator[TimelineLine]:
    standing: str | None = None
    for fact in facts:
        if fact.event is None:
            continue
        told = narrative.told(fact.event)
        if isinstance(fact.event, updates.UpdateProgressed):
            rule = fact.event.held.rule if fact.event.held else None
            if rule and rule != standing:
                told = narrative.Told(sentence(narrative.held(fact.event)))
            standing = rule
        if told is not None:
            yield TimelineLine(
                at=fact.time,
                source=fact.source,
                sentence=told.sentence,
                tone=told.tone,
                event_id=fact.id,
                cause_id=fact.cause_id,
            )


def _chains(facts: Sequence[Fact]) -> tuple[ChainLine, ...]:
    found: dict[str, ChainLine] = {}
    for fact in facts:
        line = found.get(fact.chain) or ChainLine(
            chain=fact.chain, first=fact.sequence, last=0, last_hash=fact.hash
        )
        if fact.sequence > line.last:
            line = line.model_copy(update={"last": fact.sequence, "last_hash": fact.hash})
        found[fact.chain] = line.model_copy(update={"first": min(line.first, fact.sequence)})
    return tuple(sorted(found.values(), key=lambda line: (not line.chain.startswith("update/"), line.chain)))
