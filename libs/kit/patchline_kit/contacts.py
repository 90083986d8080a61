"""Contacts are shown without what would let a reader use them."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit


def without_secrets(contact: str) -> str:
    """An Apprise URL reduced to its scheme and host; ``file:`` contacts as they are.

    Apprise puts tokens into user, password, host, path and query alike (``slack://bot@TOKEN/…``), so the
    host is shown only where the scheme makes it one.
    """
    if contact.startswith("file:"):
        return contact
    parts = urlsplit(contact)
    if not parts.scheme:
        return "(a contact)"
    if parts.scheme not in _HOST_IS_NO_SECRET:
        return f"{parts.scheme}://…"
    return f"{parts.scheme}://{parts.hostname or ''}/…"


_HOST_IS_NO_SECRET = frozenset(
    {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "syslog", "http", "https"}
)
_SHORTEST_SECRET = 3
"""Shorter parts of an address are too common in other words to be cut out of a text."""


def redacted(text: str, contact: str) -> str:
    """``text``, which may quote ``contact`` or parts of it, without any of its secrets."""
    shown = without_secrets(contact)
    text = text.replace(contact, shown)
    if contact.startswith("file:"):
        return text
    public = {part for part in re.split(r"[:/]+", shown) if part}
    parts = {part for part in re.split(r"[:/@?&=#,]+", contact) if len(part) >= _SHORTEST_SECRET} - public
    for part in sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True):
        text = text.replace(part, "…")
    return text
