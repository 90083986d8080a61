"""Contacts are shown without what would let a reader use them."""

from __future__ import annotations

from urllib.parse import urlsplit


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
