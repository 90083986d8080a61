"""What people asked, decided and were told in a round, and what was tested for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from patchline_documentation.facts import Fact
from patchline_documentation.report import ApprovalLine, NoticeLine, RequestLine, StageLine, TestLine
from patchline_documentation.wording import names, output, sentence, without_secrets
from patchline_schemas import notices, requests, updates


def approvals(facts: Sequence[Fact]) -> Iterator[ApprovalLine]:
    """Who let the plan roll out, or did not."""
    for fact in facts:
        match fact.event:
            case updates.UpdateApproved() as event:
                who = "the policy" if event.automatic else names(event.approved_by)
                verdict, reason = f"approved revision {event.revision}", event.reason
            case updates.UpdateRejected() as event:
                who, verdict, reason = event.rejected_by, "rejected", event.reason
            case _:
                continue
        yield ApprovalLine(at=fact.time, who=who, verdict=verdict, reason=without_secrets(reason))


def asked(facts: Sequence[Fact]) -> Iterator[RequestLine]:
    """What people asked for, each with its answer."""
    answers = {
        fact.event.request_id: fact.event
        for fact in facts
        if isinstance(fact.event, requests.RequestAccepted | requests.RequestRefused)
    }
    for fact in facts:
        event = fact.event
        if isinstance(event, requests.RequestSubmitted):
            yield RequestLine(
                at=fact.time,
                who=event.who,
                action=event.action,
                reason=without_secrets(event.reason),
                answer=_answer(answers.get(fact.id)),
            )


def told(facts: Sequence[Fact]) -> Iterator[NoticeLine]:
    """Whom the communication service told, or could not."""
    for fact in facts:
        event = fact.event
        if not isinstance(event, notices.NoticeSent | notices.NoticeFailed):
            continue
        yield NoticeLine(
            at=fact.time,
            contact=without_secrets(event.contact),
            group=event.group,
            occasion=event.occasion,
            subject_line=event.subject_line if isinstance(event, notices.NoticeSent) else None,
            error=output(event.error) if isinstance(event, notices.NoticeFailed) else None,
        )


def tests(event: updates.UpdateTested | updates.UpdateTestFailed | None) -> tuple[TestLine, ...]:
    """The tests of an update in copies of its targets."""
    return tuple(
        TestLine(
            environment=test.environment,
            target_id=test.target_id,
            passed=test.passed,
            stages=tuple(
                StageLine(
                    name=without_secrets(stage.name),
                    before=stage.before,
                    after=stage.after,
                    blamed=stage.blamed,
                    output=output(stage.output) or "",
                    duration=stage.duration,
                )
                for stage in test.stages
            ),
        )
        for test in (event.environments if event else ())
    )


def _answer(answer: requests.RequestAccepted | requests.RequestRefused | None) -> str:
    match answer:
        case requests.RequestAccepted():
            return sentence(f"Carried out: {without_secrets(answer.effect)}")
        case requests.RequestRefused():
            return sentence(f"Refused by the rule “{answer.rule}”: {without_secrets(answer.explanation)}")
        case None:
            return "No answer is known."
