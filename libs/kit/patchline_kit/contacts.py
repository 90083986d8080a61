"""Contacts are shown without what would let a reader use them."""

from __future__ import annotations

from urllib.parse import urlsplit


def without_secrets(contact: str) -> str:
    """An Apprise URL reduced to its scheme and host; ``file:`` contacts as they are.

    Apprise puts tokens into user, password, path and query alike, so nothing but the host is shown.
    """
    if contact.startswith("file:"):
        return contact
    parts = urlsplit(contact)
    if not parts.scheme:
        return "(a contact)"
    if parts.username is None and parts.scheme not in _HOST_IS_NO_SECRET:
        return f"{parts.scheme}://…"
    return f"{parts.scheme}://{parts.hostname or ''}/…"


_HOST_IS_NO_SECRET = frozenset(
    {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "syslog", "http", "https"}
)
