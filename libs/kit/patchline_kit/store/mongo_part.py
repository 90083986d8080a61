"""What the parts of a MongoDB store work on."""

from __future__ import annotations

from patchline_kit.store.mongo_client import Database, MongoAddress
from patchline_kit.store.mongo_inbox import Inboxes
from patchline_kit.store.mongo_known import KnownDocuments
from patchline_kit.store.mongo_layout import DOCUMENTS, FENCES, INBOX, LANES, PARKED


class Part:
    """One service's view of the database."""

    def __init__(self, database: Database, address: MongoAddress, service: str) -> None:
        self._address = address
        self._documents = database[f"{service}.{DOCUMENTS}"]
        self._parked = database[f"{service}.{PARKED}"]
        self._lanes = database[f"{service}.{LANES}"]
        self._fences = database[FENCES]
        self._known = KnownDocuments()
        self._inbox = database[f"{service}.{INBOX}"]
        self._inboxes = Inboxes(self._documents, self._inbox, address, self._known)
