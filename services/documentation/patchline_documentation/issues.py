"""What did not go as planned in a round, and how each of it was resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from patchline_documentation.facts import Fact
from patchline_documentation.narrative import failed_targets, wave_name
from patchline_documentation.report import IssueLine
from patchline_documentation.wording import count, moment, names, output, sentence
from patchline_schemas import Event, feeds, notices, requests, updates, waves

Resolution = tuple[str, bool]


def issues(facts: Sequence[Fact]) -> Iterator[IssueLine]:
    """The issues of ``facts``, in their order; what follows a fact in the list may resolve it."""
    for place, fact in enumerate(facts):
        event, later = fact.event, [after.event for after in facts[place + 1 :] if after.event is not None]
        match event:
            case updates.UpdateTestFailed():
                yield _issue(
                    fact,
                    "Test",
                    "The update broke a copy, or could not be tested.",
                    event.error,
                    _caught(event),
                )
            case waves.WaveBackupFailed():
                what = f"Backup failed{_on(event.results)}."
                untouched = ("Nothing was deployed in this wave: no backup, no deployment.", True)
                yield _issue(fact, _where(event), what, _words(event), untouched)
            case waves.WaveDeployFailed():
                what = f"Deployment failed{_on(event.results)}."
                yield _issue(fact, _where(event), what, _words(event), _rollback(event, later))
            case waves.WaveVerificationFailed():
                when = "during the soak time" if event.during_soak else "after the deployment"
                what = f"Verification failed {when}{_on(event.results)}."
                yield _issue(fact, _where(event), what, _words(event), _rollback(event, later))
            case waves.WaveRollbackFailed():
                what = f"The rollback failed{_on(event.results)}."
                yield _issue(fact, _where(event), what, _words(event), _released(later))
            case waves.WaveDeployed():
                yield from _left_behind(fact, event, later)
            case waves.WaveVerified() if failed_targets(event.results):
                what = f"Verified without {names(failed_targets(event.results))}, as the policy allows."
                tolerated = ("The policy of the group allows that many failures.", False)
                yield _issue(fact, _where(event), what, _first_error(event.results), tolerated)
            case _:
                yield from _around(fact, later)


def _around(fact: Fact, later: Sequence[Event]) -> Iterator[IssueLine]:
    match fact.event:
        case updates.UpdateOverdue() as event:
            what = f"The due date, {moment(event.due_at)}, passed while the update was {event.state}."
            done = any(isinstance(each, updates.UpdateCompleted) for each in later)
            ended = ("The update was completed late.", True) if done else ("It was not completed.", False)
            yield _issue(fact, "Deadline", what, None, ended)
        case feeds.UpdateRetracted() as event:
            what = f"{event.vendor} withdrew the version: {event.reason}"
            yield _issue(fact, "Feed", what, None, ("What had not started was stopped.", True))
        case requests.RequestRefused() as event:
            what = f"{event.who} asked to {event.action} and was refused: {event.explanation}"
            yield _issue(fact, "Request", what, None, (f"The rule “{event.rule}” held.", True))
        case notices.NoticeFailed() as event:
            what = f"{event.contact} could not be told ({event.occasion})."
            held = "The rollout waited for it." if event.required else "The rollout went on without it."
            yield _issue(fact, f"Notice to {event.group}", what, event.error, (held, False))
        case _:
            return


def _issue(fact: Fact, where: str, what: str, words: str | None, resolution: Resolution) -> IssueLine:
    text, resolved = resolution
    return IssueLine(
        at=fact.time,
        where=where,
        what=sentence(output(what) or ""),
        output=output(words),
        resolution=text,
        resolved=resolved,
        event_id=fact.id,
    )


def _caught(event: updates.UpdateTestFailed) -> Resolution:
    copies = names([test.target_id for test in event.environments if not test.passed])
    where = f"It was caught in a disposable copy of {copies}. " if copies else ""
    return f"{where}No real target was touched.", True


def _rollback(
    event: waves.WaveDeployFailed | waves.WaveVerificationFailed, later: Sequence[Event]
) -> Resolution:
    steps = [
        each
        for each in later
        if isinstance(each, waves.WaveEvent) and each.order.wave_id == event.order.wave_id
    ]
    restored = next((each for each in steps if isinstance(each, waves.WaveRollbackVerified)), None)
    if restored is not None:
        back = names([result.target_id for result in restored.results])
        return (
            f"Rolled back to the exact packages and configuration of the backup on {back}; "
            "the checks passed afterwards.",
            True,
        )
    if any(isinstance(each, waves.WaveRollbackFailed) for each in steps):
        return "The rollback failed as well; a person was needed.", False
    if any(isinstance(each, waves.WaveRolledBack) for each in steps):
        return "Rolled back to the exact packages and configuration of the backup.", True
    return "Nothing was rolled back.", False


def _released(later: Sequence[Event]) -> Resolution:
    for each in later:
        if isinstance(each, requests.RequestAccepted) and each.action in ("retry", "resume", "cancel"):
            return f"{each.who} released it: {each.effect}", True
    return "A person was needed.", False


def _left_behind(fact: Fact, event: waves.WaveDeployed, later: Sequence[Event]) -> Iterator[IssueLine]:
    late = [target.target_id for target in event.not_started]
    if late:
        what = f"{count(len(late), 'target')} not started before the window ended: {names(late)}."
        yield _issue(fact, _where(event), what, None, _follow_up(late, later))
    outdated = event.left_out()
    if outdated:
        ids = [result.target_id for result in outdated]
        what = f"{count(len(ids), 'target')} not as planned any more, and not touched: {names(ids)}."
        yield _issue(fact, _where(event), what, outdated[0].error, _follow_up(ids, later))
    failed = failed_targets(event.results)
    if failed:
        what = f"Deployed without {names(failed)}, as the policy allows."
        tolerated = ("The policy of the group allows that many failures.", False)
        yield _issue(fact, _where(event), what, _first_error(event.results), tolerated)


def _follow_up(ids: Sequence[str], later: Sequence[Event]) -> Resolution:
    for each in later:
        if isinstance(each, waves.WavePlanned) and not set(ids).isdisjoint(t.target_id for t in each.targets):
            return f"Planned again in {wave_name(each.order)}.", True
    return "No further wave was planned for that in this round.", False


def _where(event: waves.WaveEvent) -> str:
    return wave_name(event.order)


def _on(results: Sequence[waves.TargetResult]) -> str:
    failed = failed_targets(results)
    return f" on {names(failed)}" if failed else ""


def _words(
    event: waves.WaveBackupFailed
    | waves.WaveDeployFailed
    | waves.WaveVerificationFailed
    | waves.WaveRollbackFailed,
) -> str:
    """The tool's own words: the event's, and those of the first failed target that are not among them."""
    lines = event.error.splitlines()
    for line in (_first_error(event.results) or "").splitlines():
        if not any(line.strip() in known for known in lines):
            lines.append(line)
    return "\n".join(lines)


def _first_error(results: Sequence[waves.TargetResult]) -> str | None:
    for result in results:
        if result.target_id in failed_targets([result]):
            checks = [check.output for check in result.checks if not check.passed and check.output]
            return "\n".join(filter(None, [result.error, *checks])) or None
    return None
