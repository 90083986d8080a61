"""The garbage collector of a process that lives long and makes many small things that do not."""

from __future__ import annotations

import gc

THRESHOLDS = (30_000, 20, 20)
"""A batch of 500 events holds some twenty thousand objects, and all are gone when it is stored: Python's own
700 would look through them again and again. It costs a few megabytes."""


def settle() -> None:
    """Leave alone for good what is there now, such as modules and models; call it once all is started.

    A third of the time that an event takes went into looking through it again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
