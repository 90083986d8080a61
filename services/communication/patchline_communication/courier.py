"""Delivers a notice to a contact: to a file, or through Apprise to any service it knows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import apprise

from patchline_communication.files import append_once
from patchline_kit.contacts import without_secrets

# Apprise logs addresses with only the password hidden; what went wrong is told by NotDelivered.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


class NotDelivered(Exception):
    """The contact could not be told; the text says why, without the contact's secrets."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is delivered."""

    notice_id: str
    at: datetime
    subject: str
    body: str


class Courier(Protocol):
    """Takes letters to contacts."""

    async def deliver(self, contact: str, letter: Letter) -> None:
        """Return once the contact has the letter. Raises :class:`NotDelivered`."""


class AppriseCourier:
    """``file:PATH`` (relative to ``base``) by itself, everything else through Apprise."""

    def __init__(self, base: Path, *, timeout: timedelta) -> None:
        self._base = base
        self._timeout = timeout.total_seconds()

    async def deliver(self, contact: str, letter: Letter) -> None:
        """Deliver within the time limit."""
        if contact.startswith("file:"):
            path = self._base / contact.removeprefix("file:")
            try:
                await asyncio.to_thread(
                    append_once, path, letter.notice_id, letter.at, letter.subject, letter.body
                )
            except OSError as error:
                raise NotDelivered(f"{path}: {error.strerror or error}") from error
            return
        await self._through_apprise(contact, letter)

    async def _through_apprise(self, contact: str, letter: Letter) -> None:
        shown = without_secrets(contact)
        service = apprise.Apprise()
        if not service.add(contact):
            raise NotDelivered(f"{shown} is no address that Apprise knows; correct it in the fleet file")
        body = f"{letter.body}\n\nNotice {letter.notice_id}"
        send = asyncio.to_thread(service.notify, title=letter.subject, body=body)
        try:
            accepted = await asyncio.wait_for(send, self._timeout)
        except TimeoutError:
            raise NotDelivered(f"{shown} did not answer within {self._timeout:.0f} s") from None
        except Exception as error:
            # Apprise's plugins raise what their libraries raise, and its text may quote the address.
            raise NotDelivered(f"{shown} failed with {type(error).__name__}") from None
        if not accepted:
            raise NotDelivered(f"{shown} did not take the notice")
