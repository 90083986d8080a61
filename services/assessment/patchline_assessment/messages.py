"""What assessment's documents tell each other."""

from __future__ import annotations

from pydantic import Field

from patchline_kit.documents import Message
from patchline_schemas.fleet import Freeze, Group, Target


class RegisterGroup(Message):
    """To a group: the fleet file says this of it."""

    revision: int
    group: Group
    freezes: tuple[Freeze, ...]


class RegisterTarget(Message):
    """To a target: the fleet file says this of it."""

    revision: int
    target: Target


class RemoveGroup(Message):
    """To a group: the fleet file no longer has it."""

    revision: int


class RemoveTarget(Message):
    """To a target: the fleet file no longer has it."""

    revision: int


class EveryoneTold(Message):
    """To the fleet: all messages of ``revision`` before this one were handled."""

    revision: int


class Ask(Message):
    """To an inventory: this is the target to ask, from now on."""

    revision: int
    target: Target


class Drop(Message):
    """To an inventory: the target is gone."""

    revision: int


class AskAgain(Message):
    """To an inventory: something may have changed on the target."""

    priority: int = 0
    """Of the wake; higher is sooner."""


class Change(Message):
    """To an inventory itself, once it is stored: look up the updates that its change concerns."""

    before: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The versions that were installed before of each component that changed."""
    whole: bool = False
    """Nothing was known before, or all of it is to be looked at again: everything installed now is news."""


class KnowledgeChange(Message):
    """To an inventory itself, once it is stored: it has become known or unknown what the target has."""

    settled_too: bool = False
    """Whether it concerns updates, too, that no target was known to need."""


class Gather(Message):
    """To the sweep: such a change, for the updates that it concerns."""

    settled_too: bool = False


class Reassess(Message):
    """To an update: look again."""
