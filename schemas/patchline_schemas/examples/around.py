"""Requests, notices, seals, proposals and dead letters."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from patchline_schemas import dead_letters, ledger, notices, policies, requests
from patchline_schemas.examples.shared import DIGEST, JINJA, UPDATE, WAVE, Examples, at


def request_examples() -> Iterable[Examples]:
    """Examples of requests."""
    item = {"vendor": "palletsprojects", "component": JINJA, "version": "3.1.6", "kind": "security"}
    yield Examples(
        requests.RequestSubmitted(
            action="approve", who="bea", reason="Read the notes.", update_id=UPDATE, plan_revision=1
        ),
        requests.RequestSubmitted(action="publish", who="ada", reason="vendor feed", item=item),
    )
    published = requests.PublishResult(event_id="0b7e", update_id=UPDATE, result="accepted")
    yield Examples(
        requests.RequestAccepted(
            request_id="7d01",
            action="approve",
            update_id=UPDATE,
            who="bea",
            effect="Revision 1 may roll out.",
        ),
        requests.RequestAccepted(
            request_id="7d02",
            action="publish",
            update_id=UPDATE,
            who="ada",
            effect="The update is published.",
            published=published,
        ),
    )
    yield Examples(
        requests.RequestRefused(
            request_id="7d03",
            action="approve",
            update_id=UPDATE,
            who="ada",
            rule="approval.not-the-requester",
            explanation="ada published this update and may not approve it.",
        ),
        requests.RequestRefused(
            request_id="7d04",
            action="halt",
            update_id=None,
            who="ada",
            rule="state",
            explanation="Already halted.",
        ),
    )


def others() -> Iterable[Examples]:
    """Examples of others."""
    sent = notices.NoticeSent(
        notice_id="1c44",
        update_id=UPDATE,
        wave_id=WAVE,
        group="intranet",
        contact="file:notices/intranet.log",
        occasion="planned",
        subject_line="jinja2 3.1.6 on intranet: Tue 3 March, 09:30 UTC",
        sent_at=at(1),
    )
    yield Examples(sent, sent.model_copy(update={"wave_id": None, "occasion": "overdue"}))
    delayed = notices.NoticeDelayed(
        notice_id="1c45",
        update_id=UPDATE,
        wave_id=WAVE,
        group="intranet",
        contact="mailto://…@example.org",
        occasion="planned",
        error="connection refused",
        attempts=2,
        required=True,
        next_attempt_at=at(2),
    )
    not_required = {"wave_id": None, "required": False}
    yield Examples(delayed, delayed.model_copy(update={**not_required, "next_attempt_at": None}))
    failed = notices.NoticeFailed(**delayed.model_dump(exclude={"attempts", "next_attempt_at"}), attempts=5)
    yield Examples(failed, failed.model_copy(update=not_required))
    seal = ledger.LedgerSealed(
        number=1,
        previous="0" * 64,
        hash=DIGEST,
        heads=(ledger.ChainHead(chain=UPDATE, sequence=24, hash=DIGEST),),
        sealed_at=at(60),
    )
    yield Examples(seal, seal.model_copy(update={"number": 2, "previous": DIGEST, "heads": ()}))
    asked = ledger.PlaybackRequested(playback_id="6a10", reader="gateway@1")
    yield Examples(asked, asked.model_copy(update={"playback_id": "6a11", "reader": "gateway@2"}))
    advanced = ledger.PlaybackAdvanced(
        playback_id="6a10", reader="gateway@1", entries_done=2_000, entries_total=48_120, ended=False
    )
    yield Examples(
        advanced, advanced.model_copy(update={"entries_done": 0, "entries_total": 0, "ended": True})
    )
    proposal = policies.PolicyProposed(
        update_id=UPDATE,
        group="intranet",
        reason="Two of the last five updates were rolled back within minutes after the soak time.",
        evidence=("0b7e", "0b7f"),
        patch="--- fleet.yaml\n+++ fleet.yaml\n@@ -9 +9 @@\n-  soak: PT10S\n+  soak: PT10M\n",
    )
    yield Examples(proposal, proposal.model_copy(update={"evidence": ()}))
    record = dead_letters.RawRecord(
        topic="waves.due",
        partition=0,
        offset=17,
        key=base64.b64encode(UPDATE.encode()).decode(),
        headers=(("ce_id", base64.b64encode(b"0b7e").decode()),),
        value=base64.b64encode(b"{").decode(),
    )
    letter = dead_letters.DeadLettered(
        letter_id="d001",
        service="backup",
        reason="The body does not fit the event's type.",
        error="EnvelopeError: dev.patchline.waves.due.v1 0b7e: the body: Invalid JSON",
        attempts=1,
        event_id="0b7e",
        first_failed_at=at(31),
        record=record,
    )
    yield Examples(
        letter,
        letter.model_copy(
            update={
                "event_id": None,
                "record": record.model_copy(update={"key": None, "headers": (), "value": ""}),
            }
        ),
    )
    decided = dead_letters.DeadLetterDecided(
        letter_id="d001", letter_event_id="0b81", decision="replayed", who="bea", decided_at=at(90)
    )
    yield Examples(decided, decided.model_copy(update={"decision": "discarded"}))
