"""Communication: tells each group's contacts ahead of a window, at its start and end, and on failure.

What it does stands in three lists of handlers:

- :mod:`patchline_communication.update_handlers`: what is told of an update as a whole;
- :mod:`patchline_communication.wave_handlers`: what is told of a wave, and its calendar entry;
- :mod:`patchline_communication.notice_handlers`: how a notice gets to its contact.
"""

from patchline_communication import notice_handlers, update_handlers, wave_handlers
from patchline_communication.declaration import service

__all__ = ["notice_handlers", "service", "update_handlers", "wave_handlers"]
