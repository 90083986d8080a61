"""Delivers a notice to a contact: to a file, or through Apprise to any service it knows."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import apprise

from patchline_communication.files import append_once
from patchline_kit.contacts import redacted, without_secrets

# Apprise's log lines quote addresses with only the password hidden. They go nowhere by themselves; what
# they say of a failure is in NotDelivered, without secrets.
logging.getLogger("apprise").propagate = False

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SENDERS = 8
"""Contacts that are told at once, in threads of their own: a service that hangs holds up nobody else."""
GRACE_SECONDS = 5.0
"""What Apprise gets beyond its own time limit before it is left alone."""


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
    """``file:PATH`` (relative to ``base``) by itself, everything else through Apprise.

    ``${NAME}`` in a contact stands for an environment variable, so that the fleet file needs no secrets.
    """

    def __init__(self, base: Path, *, timeout: timedelta) -> None:
        self._base = base
        self._timeout = timeout.total_seconds()
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="notices")

    @classmethod
    @asynccontextmanager
    async def opened(cls, base: Path, *, timeout: timedelta) -> AsyncIterator[AppriseCourier]:
        """A courier whose threads end with the block; one that hangs is not waited for."""
        courier = cls(base, timeout=timeout)
        try:
            yield courier
        finally:
            courier._senders.shutdown(wait=False, cancel_futures=True)

    async def deliver(self, contact: str, letter: Letter) -> None:
        """Deliver within the time limit."""
        address = with_environment(contact)
        loop = asyncio.get_running_loop()
        if address.startswith("file:"):
            path = self._base / address.removeprefix("file:")
            await loop.run_in_executor(self._senders, _append, path, letter)
            return
        send = loop.run_in_executor(self._senders, _send, address, letter, self._timeout)
        try:
            await asyncio.wait_for(send, self._timeout + GRACE_SECONDS)
        except TimeoutError:
            raise NotDelivered(_timed_out(address, self._timeout)) from None


def with_environment(contact: str) -> str:
    """The contact with its placeholders filled. Raises :class:`NotDelivered` naming a missing variable."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise NotDelivered(
                f"the contact {without_secrets(contact)} needs the environment variable {found[1]}"
            )
        return os.environ[found[1]]

    return PLACEHOLDER.sub(value, contact)


def _append(path: Path, letter: Letter) -> None:
    try:
        append_once(path, letter.notice_id, letter.at, letter.subject, letter.body)
    except OSError as error:
        raise NotDelivered(f"{path}: {error.strerror or error}") from error


def _send(address: str, letter: Letter, timeout: float) -> None:
    shown = without_secrets(address)
    service = apprise.Apprise()
    if not service.add(address):
        raise NotDelivered(f"{shown} is no address that Apprise knows; correct it in the fleet file")
    body = f"{letter.body}\n\nNotice {letter.notice_id}"
    try:
        with service.notify(title=letter.subject, body=body, timeout=timeout) as result:
            if result:
                return
            said = [entry.message for entry in result.logs() if entry.message]
            timed_out = result.status is apprise.AppriseResultStatus.TIMEOUT
    except Exception as error:
        # Apprise's plugins raise what their libraries raise, and its text may quote the address.
        raise NotDelivered(f"{shown} failed with {type(error).__name__}") from None
    if timed_out:
        raise NotDelivered(_timed_out(address, timeout))
    why = f": {redacted(said[-1], address)}" if said else ""
    raise NotDelivered(f"{shown} did not take the notice{why}")


def _timed_out(address: str, timeout: float) -> str:
    return f"{without_secrets(address)} did not answer within {timeout:.0f} s"
