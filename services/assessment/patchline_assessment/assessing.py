"""Assesses an update against what is installed: verdicts, urgency, due date, in pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from patchline_assessment.inventory import Inventory
from patchline_assessment.update import KnownUpdate, Published
from patchline_assessment.urgency import Exposed, decide
from patchline_assessment.verdicts import Facts, Verdict, judge
from patchline_schemas.envelope import MAX_MESSAGE_BYTES
from patchline_schemas.fleet import Group
from patchline_schemas.updates import AssessedTarget, AssessmentInput, UpdateAssessed
from patchline_schemas.values import Urgency

PAGE_TARGETS = 500
_PAGE_BYTES = MAX_MESSAGE_BYTES - 16 * 1024


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an update means for the fleet."""

    targets: tuple[AssessedTarget, ...]
    """By id: every one that has the component, and every unknown one."""
    affected_total: int
    unknown_total: int
    groups: tuple[str, ...]
    """Those with affected targets."""
    urgency: Urgency | None
    due_at: datetime | None
    due_rule: str
    inputs: tuple[AssessmentInput, ...]


class Assessor:
    """Judges target after target; equal versions are judged once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._verdicts: dict[tuple[str, ...], Verdict] = {}
        self.targets: dict[str, AssessedTarget] = {}

    def add_installed(self, inventories: Iterable[Inventory]) -> None:
        """Judge targets that have the component."""
        for inventory in inventories:
            installed = inventory.packages[self._facts.component]
            if installed not in self._verdicts:
                self._verdicts[installed] = judge(self._facts, installed)
            verdict = self._verdicts[installed]
            self.targets[inventory.id] = AssessedTarget(
                target_id=inventory.id,
                group=inventory.target.group,
                status=verdict.status,
                reason=verdict.reason,
                installed_version=verdict.installed_version,
                environment=inventory.environment,
                advisories=verdict.advisories,
                collected_at=inventory.collected_at,
            )

    def add_unknown(self, inventories: Iterable[Inventory]) -> None:
        """Add targets of which nobody knows what they have."""
        for inventory in inventories:
            reason = (
                f"What is installed cannot be asked: {inventory.failure}"
                if inventory.failure
                else "Nobody has asked it yet what is installed."
            )
            self.targets[inventory.id] = AssessedTarget(
                target_id=inventory.id, group=inventory.target.group, status="unknown", reason=reason[:500]
            )

    def affected_groups(self) -> tuple[str, ...]:
        """Names of the groups with affected targets."""
        return tuple(sorted({each.group for each in self.targets.values() if each.status == "affected"}))


def conclude(assessor: Assessor, published: Published, groups: Mapping[str, Group]) -> Assessment:
    """Urgency and due date from the verdicts. ``groups`` has those with affected targets."""
    targets = tuple(assessor.targets[id_] for id_ in sorted(assessor.targets))
    affected = [each for each in targets if each.status == "affected"]
    unknown_total = sum(each.status == "unknown" for each in targets)
    if not affected:
        return Assessment(
            targets, 0, unknown_total, (), None, None, "No target is affected, so nothing is due.", ()
        )
    advisories = {each.id: each for each in published.advisories}
    exposed_to: dict[str, set[str]] = {}
    for each in affected:
        exposed_to.setdefault(each.group, set()).update(each.advisories)
    decision = decide(
        published.kind,
        [
            Exposed(groups[name], tuple(advisories[id_] for id_ in sorted(ids)))
            for name, ids in exposed_to.items()
        ],
        published.origins,
    )
    return Assessment(
        targets=targets,
        affected_total=len(affected),
        unknown_total=unknown_total,
        groups=tuple(sorted(exposed_to)),
        urgency=decision.urgency,
        due_at=published.published_at + decision.due_after,
        due_rule=decision.rule,
        inputs=decision.inputs,
    )


def digest_of(assessment: Assessment, published: Published) -> str:
    """Of all that anybody acts on: a change of it is worth a new revision.

    Environment and time of an inventory are not part of it, nor the version on a target that is not affected.
    """
    targets = [
        (each.target_id, each.group, each.status)
        if each.status == "not-affected"
        else (each.target_id, each.group, each.status, each.installed_version, each.advisories, each.reason)
        for each in assessment.targets
    ]
    content = [
        targets,
        assessment.urgency,
        assessment.due_rule,
        [each.model_dump(mode="json") for each in assessment.inputs],
        published.model_dump(mode="json", exclude={"advisories": {"__all__": {"summary"}}}),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def pages(update: KnownUpdate, assessment: Assessment, fleet_total: int) -> list[UpdateAssessed]:
    """The events of an assessment; at least one. The update must be published."""
    head = _head(update, assessment, fleet_total)
    room = _PAGE_BYTES - len(head.model_dump_json())
    blocks = list(_blocks(assessment.targets, room)) or [()]
    return [
        head.model_copy(update={"page": number, "pages": len(blocks), "targets": block})
        for number, block in enumerate(blocks, start=1)
    ]


def _head(update: KnownUpdate, assessment: Assessment, fleet_total: int) -> UpdateAssessed:
    published = update.published
    if published is None:
        raise ValueError(f"{update.id} was never published")
    return UpdateAssessed(
        update_id=update.id,
        revision=update.revision,
        component=update.component,
        version=update.to_version,
        page=1,
        pages=1,
        vendor=published.vendor,
        kind=published.kind,
        urgency=assessment.urgency,
        due_at=assessment.due_at,
        due_rule=assessment.due_rule,
        inputs=assessment.inputs,
        released_at=published.released_at,
        published_at=published.published_at,
        published_by=published.published_by,
        advisories=tuple(each.id for each in published.advisories),
        notes_url=published.notes_url,
        restart_required=published.restart_required,
        emergency=published.emergency,
        affected_total=assessment.affected_total,
        not_affected_total=max(fleet_total - assessment.affected_total - assessment.unknown_total, 0),
        unknown_total=assessment.unknown_total,
        targets=(),
    )


def _blocks(targets: Sequence[AssessedTarget], room: int) -> Iterator[tuple[AssessedTarget, ...]]:
    block: list[AssessedTarget] = []
    left = room
    for target in targets:
        size = len(target.model_dump_json(exclude_none=True)) + 1
        if block and (len(block) == PAGE_TARGETS or size > left):
            yield tuple(block)
            block, left = [], room
        block.append(target)
        left -= size
    if block:
        yield tuple(block)
