"""Dead letters: a person replays or discards them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Literal

from patchline_gateway.messages import Decide
from patchline_gateway.views import DeadLetterView
from patchline_kit.records import LOCAL
from patchline_schemas import WireRecord
from patchline_schemas.dead_letters import DeadLetterDecided

ONLY_FOR = "ce_onlyfor"
"""The header that keeps a replayed record from all services but one."""


class NotOpen(Exception):
    """The letter was already decided on."""


class NotKept(Exception):
    """The record was too large to keep, or never lay on a topic, so it cannot be replayed."""


def decide(letter: DeadLetterView, decision: Decide, now: datetime) -> None:
    """Note a decision; a replay wakes the letter at once.

    Raises :class:`NotOpen` or :class:`NotKept`, with what to do.
    """
    if letter.state != "open":
        raise NotOpen(f"The dead letter {letter.id} was already {letter.state} by {letter.decided_by}.")
    if decision.decision == "replay" and letter.topic == LOCAL:
        raise NotKept(
            f"{letter.id} is a local message inside {letter.service}, which lies on no topic; discard the"
            " letter and retry the update it belongs to."
        )
    if decision.decision == "replay" and not letter.value:
        raise NotKept(
            f"The record of {letter.id} was empty or too large to keep; publish a good one and discard"
            " the letter."
        )
    letter.decided_by, letter.decided_at = decision.who, now
    letter.decided_on = letter.letter_event_id
    letter.state = "replaying" if decision.decision == "replay" else "discarded"
    letter.wake_at = now if decision.decision == "replay" else None


def decided(letter: DeadLetterView, decision: Literal["replayed", "discarded"]) -> DeadLetterDecided:
    """The event that says what became of ``letter``, on which somebody has decided."""
    return DeadLetterDecided.model_validate(
        {
            "letter_id": letter.id,
            "letter_event_id": letter.decided_on,
            "decision": decision,
            "who": letter.decided_by,
            "decided_at": letter.decided_at,
        }
    )


def record_of(letter: DeadLetterView) -> WireRecord:
    """The record as it was, marked for the service that gave it up."""
    kept = [(name, base64.b64decode(value)) for name, value in letter.headers if name.lower() != ONLY_FOR]
    return WireRecord(
        topic=letter.topic,
        key=base64.b64decode(letter.key or ""),
        headers=(*kept, (ONLY_FOR, letter.service.encode())),
        value=base64.b64decode(letter.value),
    )
