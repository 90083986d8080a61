"""Planning: the only owner of schedule and gating. What it does stands in two lists of handlers:

- :mod:`patchline_planning.update_handlers`: what happens to an update, from its assessment to its end, and
  what people ask;
- :mod:`patchline_planning.wave_handlers`: what happens to a wave, and to the targets that it owns.

What may follow what is in the tables of :mod:`patchline_planning.machine`.
"""

from patchline_planning import update_handlers, wave_handlers
from patchline_planning.declaration import service

__all__ = ["service", "update_handlers", "wave_handlers"]
