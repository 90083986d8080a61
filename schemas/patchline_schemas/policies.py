"""Changes to the fleet file that a review proposes."""

from __future__ import annotations

from patchline_schemas.envelope import Event


class PolicyProposed(Event, topic="policies.proposed"):
    """A patch to the fleet file that a person may apply."""

    update_id: str
    """The update whose review led to it."""
    group: str
    """The group whose policies it changes."""
    reason: str
    """A sentence."""
    evidence: tuple[str, ...]
    """Event ids."""
    patch: str
    """Unified diff against the fleet file."""

    def key(self) -> str:
        return self.update_id
