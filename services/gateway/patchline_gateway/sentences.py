"""Every event in one sentence, for a person who reads an update's history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from patchline_schemas import (
    Event,
    dead_letters,
    feeds,
    fleet,
    ledger,
    notices,
    policies,
    requests,
    updates,
    waves,
)
from patchline_schemas.waves import TargetResult, WaveOrder

E = TypeVar("E", bound=Event)
LONGEST = 300
"""Characters; the whole text is in the event."""

_QUIET = frozenset({"planned", "verified", "rolled-back", "cancelled"})
"""States of a wave in which nothing goes on."""

_DECIDED = {"replayed": "had the record put back of", "discarded": "laid aside"}

_SENTENCES: dict[type[Event], Callable[[Any], str]] = {}


def summary_of(event: Event) -> str:
    """One sentence for ``event``; for a type without a sentence of its own, the words of its topic."""
    speak = _SENTENCES.get(type(event))
    text = speak(event) if speak else f"{event.TOPIC.replace('.', ' ').replace('-', ' ')}: {event.subject()}."
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _says(kind: type[E], sentence: Callable[[E], str]) -> None:
    _SENTENCES[kind] = sentence


def count(number: int, noun: str) -> str:
    """``1 target``, ``2 targets``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def at(time: datetime | None) -> str:
    """A time as a person reads it."""
    return "an unknown time" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def names(known: Sequence[str], total: int | None = None, *, most: int = 3) -> str:
    """The first names of ``total``, by default of all that are known, and how many more there are."""
    shown = known[:most]
    more = (len(known) if total is None else total) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _wave(order: WaveOrder) -> str:
    return f"Wave {order.number} of round {order.round} ({order.group})"


def _failures(results: Sequence[TargetResult]) -> str:
    bad = [result.target_id for result in results if result.outcome not in ("succeeded", "not-started")]
    return f" on {names(bad)}" if bad else ""


def _succeeded(results: Sequence[TargetResult]) -> int:
    return sum(result.outcome == "succeeded" for result in results)


def _unchanged(results: Sequence[TargetResult]) -> int:
    return sum(result.outcome == "not-started" for result in results)


def _published(event: feeds.UpdatePublished) -> str:
    fixes = (
        f", which fixes {names([advisory.id for advisory in event.advisories])}" if event.advisories else ""
    )
    return f"{event.vendor} published {event.component} {event.version}{fixes}."


def _assessed(event: updates.UpdateAssessed) -> str:
    urgency = f", urgency {event.urgency}" if event.urgency else ""
    due = f", due {at(event.due_at)}" if event.due_at else ""
    return (
        f"Assessed: {count(event.affected_total, 'target')} affected, "
        f"{event.not_affected_total} not affected, {event.unknown_total} unknown{urgency}{due}."
    )


def _retraction(event: updates.RetractionAssessed) -> str:
    unknown = f"; {count(event.unknown_total, 'target')} cannot be asked" if event.unknown_total else ""
    return f"The withdrawn version is installed on {count(event.installed_total, 'target')}{unknown}."


def _planned(event: updates.UpdatePlanned) -> str:
    start = next((wave.starts_at for wave in event.waves if wave.starts_at), None)
    first = f", the first at {at(start)}" if start else ""
    return f"Planned in {count(len(event.waves), 'wave')}{first}; approval: {event.approval}."


def _approved(event: updates.UpdateApproved) -> str:
    if event.automatic:
        return "Approved by policy."
    return f"Approved by {names(event.approved_by)}: {event.reason}"


def _progressed(event: updates.UpdateProgressed) -> str:
    active = [wave for wave in event.waves if wave.round == event.round and wave.state not in _QUIET]
    doing = ", ".join(f"wave {wave.number} {wave.state}" for wave in active)
    held = f", held by {event.held.rule}" if event.held and event.held.rule != event.state else ""
    error = f": {event.error.removesuffix('.')}" if event.error else ""
    return f"Now {event.state}{f' ({doing})' if doing else ''}{held}{error}."


def _reviewed(event: updates.UpdateReviewed) -> str:
    deviations = sum(finding.deviation for finding in event.findings)
    return f"Reviewed: {count(len(event.findings), 'finding')}, {count(deviations, 'deviation')}."


def _asked(event: requests.RequestSubmitted) -> str:
    about = event.update_id or (event.item or {}).get("component") or "everything"
    return f"{event.who} asks to {event.action} {about}: {event.reason}"


def _inventory(event: fleet.InventoryReported) -> str:
    return f"{event.target_id} reported {count(len(event.packages), 'package')}."


def _delayed(event: notices.NoticeDelayed) -> str:
    again = (
        f"it is tried again at {at(event.next_attempt_at)}"
        if event.next_attempt_at
        else "the fleet file has it no more"
    )
    return f"{event.contact} ({event.group}) is not told yet: {event.error.rstrip('.')}; {again}."


_says(feeds.UpdatePublished, _published)
_says(
    feeds.AdvisoryPublished,
    lambda e: (
        f"{e.vendor} added {names([advisory.id for advisory in e.advisories])} to {e.component} {e.version}."
    ),
)
_says(feeds.UpdateRetracted, lambda e: f"{e.vendor} withdrew {e.component} {e.version}: {e.reason}")
_says(fleet.GroupRegistered, lambda e: f"Group {e.group.name} is in the fleet file.")
_says(fleet.GroupRemoved, lambda e: f"Group {e.group} left the fleet file.")
_says(fleet.TargetRegistered, lambda e: f"Target {e.target.id} is in the fleet file.")
_says(fleet.TargetRemoved, lambda e: f"Target {e.target_id} left the fleet file.")
_says(
    fleet.FleetFileRead,
    lambda e: (
        f"The fleet file holds {count(e.groups_total, 'group')} and {count(e.targets_total, 'target')}."
    ),
)
_says(
    fleet.FleetFileRefused, lambda e: f"The fleet file cannot be used, the one before still holds: {e.error}"
)
_says(fleet.InventoryReported, _inventory)
_says(fleet.InventoryFailed, lambda e: f"{e.target_id} could not be asked: {e.reason}")
_says(updates.UpdateAssessed, _assessed)
_says(
    updates.RetractionAssessed,
    _retraction,
)
_says(updates.UpdatePlanned, _planned)
_says(
    updates.UpdateTested,
    lambda e: f"Tested in a copy of {names([test.target_id for test in e.environments])}: passed.",
)
_says(updates.UpdateTestFailed, lambda e: f"The test failed, no real target was touched: {e.error}")
_says(
    updates.UpdateApproved,
    _approved,
)
_says(updates.UpdateRejected, lambda e: f"Rejected by {e.rejected_by}: {e.reason}")
_says(updates.UpdateProgressed, _progressed)
_says(updates.UpdateDueSoon, lambda e: f"Due {at(e.due_at)} and still {e.state}.")
_says(updates.UpdateOverdue, lambda e: f"Overdue since {at(e.due_at)} and still {e.state}.")
_says(updates.UpdateNotApplicable, lambda e: "No target needs it.")
_says(
    updates.UpdateCompleted,
    lambda e: (
        f"Round {e.round} completed: every wave is verified"
        + (f"; {count(e.unknown_total, 'target')} could not be asked." if e.unknown_total else ".")
    ),
)
_says(updates.UpdateFailed, lambda e: f"Round {e.round} failed: {e.error}")
_says(updates.UpdateCancelled, lambda e: f"Cancelled by {e.cancelled_by}: {e.reason}")
_says(
    updates.UpdateDocumented,
    lambda e: f"Documented: {count(e.events_total, 'event')}, the report is written.",
)
_says(updates.UpdateReviewed, _reviewed)
_says(
    waves.WavePlanned,
    lambda e: (
        f"{_wave(e.order)} is planned for {at(e.starts_at)}: {count(len(e.targets), 'target')}."
        if e.starts_at
        else f"{_wave(e.order)} is planned, no window is in sight: {count(len(e.targets), 'target')}."
    ),
)
_says(waves.WaveCancelled, lambda e: f"{_wave(e.order)} will not happen: {e.reason}")
_says(waves.WaveDue, lambda e: f"{_wave(e.order)} may start on {names([t.target_id for t in e.targets])}.")
_says(
    waves.WaveBackedUp,
    lambda e: f"{_wave(e.order)}: {count(len(e.backups), 'target')} backed up, each backup restored once.",
)
_says(waves.WaveBackupFailed, lambda e: f"{_wave(e.order)}: backup failed{_failures(e.results)}: {e.error}")
_says(
    waves.WaveDeployed,
    lambda e: (
        f"{_wave(e.order)}: {e.order.version} is installed on {count(_succeeded(e.results), 'target')}"
        + (f", {len(e.not_started)} left for a follow-up wave" if e.not_started else "")
        + (f", {len(e.left_out())} left out as not as planned any more." if e.left_out() else ".")
    ),
)
_says(
    waves.WaveDeployFailed, lambda e: f"{_wave(e.order)}: deployment failed{_failures(e.results)}: {e.error}"
)
_says(waves.WaveChecksPassed, lambda e: f"{_wave(e.order)}: checks passed, watched until {at(e.soak_until)}.")
_says(waves.WaveVerified, lambda e: f"{_wave(e.order)} is verified.")
_says(
    waves.WaveVerificationFailed,
    lambda e: (
        f"{_wave(e.order)}: verification failed{' while watched' if e.during_soak else ''}"
        f"{_failures(e.results)}: {e.error}"
    ),
)
_says(
    waves.WaveRollbackRequested,
    lambda e: f"{_wave(e.order)} is to be rolled back on {count(len(e.targets), 'target')}: {e.reason}",
)
_says(
    waves.WaveRolledBack,
    lambda e: (
        f"{_wave(e.order)}: {count(len(e.results) - _unchanged(e.results), 'target')} rolled back"
        + (f", {_unchanged(e.results)} had not been changed." if _unchanged(e.results) else ".")
    ),
)
_says(waves.WaveRollbackVerified, lambda e: f"{_wave(e.order)}: checks pass after the rollback.")
_says(
    waves.WaveRollbackFailed, lambda e: f"{_wave(e.order)}: rollback failed{_failures(e.results)}: {e.error}"
)
_says(requests.RequestSubmitted, _asked)
_says(requests.RequestAccepted, lambda e: f"Accepted: {e.effect}")
_says(requests.RequestRefused, lambda e: f"Refused ({e.rule}): {e.explanation}")
_says(notices.NoticeSent, lambda e: f"Told {e.contact} ({e.group}): {e.subject_line}")
_says(notices.NoticeDelayed, _delayed)
_says(notices.NoticeFailed, lambda e: f"Could not tell {e.contact} ({e.group}): {e.error}")
_says(policies.PolicyProposed, lambda e: f"Proposes a change for group {e.group}: {e.reason}")
_says(
    dead_letters.DeadLetterDecided, lambda e: f"{e.who} {_DECIDED[e.decision]} the dead letter {e.letter_id}."
)
_says(ledger.PlaybackRequested, lambda e: f"{e.reader} asked for all that the ledger holds.")
_says(
    ledger.PlaybackAdvanced,
    lambda e: f"Played {e.entries_done} of {e.entries_total} entries of the ledger back to {e.reader}.",
)
_says(ledger.LedgerSealed, lambda e: f"Seal {e.number} over {count(len(e.heads), 'chain')}.")
_says(dead_letters.DeadLettered, lambda e: f"{e.service} gave up a record of {e.record.topic}: {e.reason}")
