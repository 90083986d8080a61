"""What a consumer of an event may not assume, beside what holds for every event."""

from __future__ import annotations

from collections.abc import Sequence

from patchline_kit.transport.topics import declared_topics
from patchline_schemas import Event

CAUTIONS: dict[str, tuple[str, ...]] = {
    "dead-letters": ("That the letter is still open: it may have been replayed or discarded since.",),
    "dead-letters.decided": (
        "That a replayed record was handled: it lies on its topic again, and may be given up again.",
    ),
    "feeds.update-published": (
        "That any target has the component, or that the update will be rolled out: nothing is decided yet.",
        "That it says all: what a later item adds comes as `feeds.advisory-published`.",
    ),
    "feeds.advisory-published": (
        "That `advisories` are all of the update's: they are the new and the changed ones.",
    ),
    "feeds.update-retracted": (
        "That the version is installed nowhere: `updates.retraction-assessed` says where it is.",
    ),
    "fleet.group-registered": ("That the group is new: a change of it is told by the same event.",),
    "fleet.group-removed": (
        "That nothing of it is under way: a wave that has started in it comes to its end.",
    ),
    "fleet.target-registered": (
        "That it is new, or that it answers: a change is told by the same event, and nobody has asked it.",
    ),
    "fleet.target-removed": (
        "That the machine is gone: it is no longer in the fleet file, and that is all.",
    ),
    "fleet.file-read": (
        "That the events of its groups and targets have been read: they have topics of their own.",
    ),
    "fleet.file-refused": ("That no fleet file holds: what `revision` said still does.",),
    "fleet.inventory-reported": ("That it is so now: it was so at `collected_at`.",),
    "fleet.inventory-failed": (
        "That the target is down, or is as the inventory before says: what is there is unknown.",
    ),
    "ledger.sealed": ("That `heads` names every chain: it names those that changed since the seal before.",),
    "ledger.playback-requested": ("That it concerns you: the records go to `reader` alone.",),
    "ledger.playback-advanced": ("That the reader has handled them: they are on their topic.",),
    "notices.sent": ("That somebody has read it: the contact's own service took it.",),
    "notices.delayed": ("That a person has to do something: it is tried again by itself.",),
    "notices.failed": ("That the rollout waits for it: only where `required` is true.",),
    "policies.proposed": (
        "That it holds: a person applies the patch, or does not.",
        "That there is a patch: an empty one means that `reason` says what to change by hand.",
    ),
    "requests.submitted": ("That it will be done: `requests.accepted` or `requests.refused` answers.",),
    "requests.accepted": ("That what follows is done: an approval of today may roll out next week.",),
    "requests.refused": ("That it is refused for good: with the rule `state` it may be possible later.",),
    "updates.assessed": (
        "That `targets` has every target: those without the component are only counted.",
        "That no urgency means no danger: with `unknown_total` above 0 some targets could not be judged.",
    ),
    "updates.retraction-assessed": (
        "That `installed_on` is complete: `installed_total` counts them all.",
        "That a version with an `installed_total` of 0 is nowhere: `unknown_total` targets cannot be asked.",
    ),
    "updates.planned": (
        "That it will be done: the test and the approval are still to come.",
        "That its windows stay: a plan of a higher revision takes its place.",
    ),
    "updates.tested": (
        "That every environment was tested: `updates.planned` says how many there are.",
        "That it may roll out: it may still need an approval.",
    ),
    "updates.test-failed": ("That the update is to blame: a test that could not be run ends like this too.",),
    "updates.approved": ("That a later plan is approved: the approval is for this revision.",),
    "updates.rejected": (
        "That the update will not come: a person may retry it, which opens the next round.",
    ),
    "updates.progressed": ("That every state was told: what changes in one step is told once.",),
    "updates.due-soon": ("That anything is wrong: `held` says why it waits, if it does.",),
    "updates.overdue": ("That the update was given up: it goes on.",),
    "updates.not-applicable": ("That it stays so: a target that needs it later opens the next round.",),
    "updates.completed": (
        "That every machine has the version: a target that needs it later opens the next round.",
    ),
    "updates.failed": (
        "That nothing was changed: waves verified before stay, except those in `rolled_back_waves`.",
    ),
    "updates.cancelled": ("That nothing was changed: what was running has ended and was verified.",),
    "updates.documented": ("That you can open a report's `address`: it is as documentation sees it.",),
    "updates.reviewed": ("That a finding changes anything: `policies.proposed` says what might.",),
    "waves.planned": (
        "That its time stays: the event comes again when it changes.",
        "That it has a time: without `starts_at` no window is in sight.",
    ),
    "waves.cancelled": ("That the update is cancelled: its other waves may go on.",),
    "waves.due": ("That anything was changed: the backup comes first.",),
    "waves.backed-up": ("That the deployment has begun.",),
    "waves.backup-failed": ("That every target failed: `results` says which.",),
    "waves.deployed": (
        "That the version works: it is installed, and the checks are still to come.",
        "That every target of the wave has it: those in `not_started` have not.",
    ),
    "waves.deploy-failed": ("That every target failed: `results` says which have the version now.",),
    "waves.checks-passed": ("That the wave is verified: the soak time has only begun.",),
    "waves.verified": (
        "That the update is done: other waves may follow.",
        "That every target still has the version: a later update may have changed it during the soak time.",
    ),
    "waves.verification-failed": ("That anything was rolled back: planning decides that.",),
    "waves.rollback-requested": ("That anything was rolled back yet.",),
    "waves.rolled-back": (
        "That the targets work: `waves.rollback-verified` says so.",
        "That data is as it was: configuration is, and data only where the target says so.",
    ),
    "waves.rollback-verified": ("That other waves of the update were rolled back too.",),
    "waves.rollback-failed": ("That its targets are free: they are held until a person releases them.",),
}
"""By topic; each completes "do not assume"."""


def cautions(kind: type[Event], producers: Sequence[str]) -> list[str]:
    """What a consumer of ``kind`` may not assume: of this event, by its declaration, of any event."""
    found = list(CAUTIONS.get(kind.TOPIC, ()))
    fields = kind.model_fields
    if "pages" in fields:
        found.append("That one event is all: it is page `page` of `pages`, and pages come one by one.")
    if "sequence" in fields:
        found.append("That the newest came last: one with a lower `sequence` than you have seen is old news.")
    elif "revision" in fields or "order" in fields:
        where = "order.revision" if "order" in fields else "revision"
        found.append(f"That it is current: one with a lower `{where}` than you have seen is old news.")
    if kind.HAS_URGENT_LANE:
        found.append(f"That `{kind.TOPIC}` has them all: an urgent one is on `{kind.topics()[0]}` instead.")
    if declared_topics()[kind.TOPIC].compacted:
        found.append("That you see its history: of each key only the newest is kept for ever.")
    if len(producers) > 1 and kind.TOPIC != "dead-letters":
        found.append(f"That one service alone publishes it: {' and '.join(producers)} do.")
    return [
        *found,
        "That it comes once: a repetition has the same `ce_id`.",
        "That an event of another topic, even its cause, was read before it.",
        "That you know every field, or that one is there: new ones are added, and a null one is absent.",
    ]
