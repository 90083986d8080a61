"""One replica of one service, run as in a process of its own, but with a clock that can be made to jump.

It is forked from a server that has the services imported already, so a killed one is back in no time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from multiprocessing import forkserver
from pathlib import Path

JUMP = timedelta(hours=1, seconds=30)
"""An hour, and half a minute more: what opens by the minute is then seen at the wrong time, too."""
FORTH, BACK = signal.SIGUSR1, signal.SIGUSR2
CLOCK_SIGNALS = (FORTH, BACK)
PR_SET_PDEATHSIG = 1


def run(service: str, environment: Mapping[str, str], log: Path) -> None:
    """Be a replica of ``service`` until SIGTERM; FORTH puts its clock forward, BACK puts it back."""
    _end_with_the_run()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)

    import uuid_utils

    from patchline_kit.host import discover_services
    from patchline_kit.main import run_services
    from patchline_kit.settings import ServiceSettings, load_settings

    uuid_utils.reseed_rng()
    services = discover_services([service])
    sys.exit(
        run_services(services, lambda: load_settings(ServiceSettings), alone=False, clock=_jumping_clock())
    )


def _end_with_the_run() -> None:
    """Die when the fork server does, and do not keep it alive: it ends when the run has let go of it."""
    os.close(forkserver._forkserver._forkserver_alive_fd)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _jumping_clock():  # type: ignore[no-untyped-def]
    from patchline_kit.clock import SystemClock

    class JumpingClock(SystemClock):
        """The machine's clock, put wrong by signals; its monotonic time goes on as ever."""

        off = timedelta(0)

        def now(self) -> datetime:
            return super().now() + self.off

    clock = JumpingClock()

    def jump(number: int, _frame: object) -> None:
        clock.off += JUMP if number == FORTH else -JUMP

    for number in CLOCK_SIGNALS:
        signal.signal(number, jump)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CLOCK_SIGNALS)  # the fork server holds them back
    return clock
