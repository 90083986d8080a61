"""Documents and the messages between them: what a service keeps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """A thing that a service keeps. Handlers change it; the kit stores it with all that it emits.

    A subclass names its collection::

        class Wave(Document, collection="waves"): ...

    Collections live in the namespace of their service, so two services may use the same name.

    The store keeps its version and when it wakes beside its body, so these are not in the JSON of a document.

    For its traces it may say more: ``id_of="update"`` (or ``"wave"``, ``"target"``) if its id is that of an
    update, and ``shared=True`` if it is changed on behalf of many updates, so that its wakes belong to none.
    """

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, validate_assignment=False)

    COLLECTION: ClassVar[str] = ""
    ID_OF: ClassVar[Literal["update", "wave", "target"] | None] = None
    SHARED: ClassVar[bool] = False

    id: str
    version: int = Field(default=0, exclude=True)
    """Counts saves; the kit compares it, a handler leaves it alone. 0 means not stored yet."""
    wake_at: datetime | None = Field(default=None, exclude=True)
    """When the service's ``wakes`` handler is called with this document; null for never."""
    wake_priority: int = Field(default=0, exclude=True)
    """Of the documents that are due, the one with the highest number (below 500) is woken first; one that an
    urgent event has made to wake goes before them all."""

    def __init_subclass__(
        cls,
        *,
        collection: str | None = None,
        id_of: Literal["update", "wave", "target"] | None = None,
        shared: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if collection is not None:
            cls.COLLECTION = collection
        if id_of is not None:
            cls.ID_OF = id_of
        cls.SHARED = cls.SHARED or shared

    def tags(self) -> frozenset[str]:
        """The words under which :meth:`Context.find` finds this document; computed at each save."""
        return frozenset()


class Message(BaseModel):
    """A local message from one document of a service to another, delivered at least once and in order.

    The handler is registered like an event's, with ``@service.on(MessageClass)``; it loads the document
    ``to`` and, for create-if-absent, makes it when ``load`` answers ``None``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    NAME: ClassVar[str] = ""

    to: str
    """Id of the receiving document; messages to the same one are handled one after another."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.NAME = cls.__name__

    def addressed(self, to: str) -> Self:
        """The same message for another document."""
        return self.model_copy(update={"to": to})
