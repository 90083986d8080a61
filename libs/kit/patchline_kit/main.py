"""``python -m patchline_NAME``: one service in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from patchline_kit.clock import Clock
from patchline_kit.folder import FolderTaken
from patchline_kit.host import Host, HostError
from patchline_kit.logs import configure_logging
from patchline_kit.service import Service
from patchline_kit.settings import ServiceSettings, SettingsError, load_settings
from patchline_kit.unavailable import Unavailable

FOR_PEOPLE = (FolderTaken, HostError, SettingsError, Unavailable)
"""Errors whose text is meant for whoever runs Patchline."""


def run(service: Service) -> None:
    """Run ``service`` until it is told to stop; ends the process with 0, 1 or, for wrong settings, 2."""

    def ready(_: Host) -> None:
        logging.getLogger(f"patchline.{service.name}").info("%s does its work", service.name)

    sys.exit(run_services([service], lambda: load_settings(ServiceSettings), alone=False, on_ready=ready))


def run_services(
    services: Sequence[Service],
    settings: Callable[[], ServiceSettings],
    *,
    alone: bool,
    clock: Clock | None = None,
    on_ready: Callable[[Host], object] | None = None,
) -> int:
    """Run ``services`` until SIGTERM or SIGINT; the exit code. What goes wrong is said on standard error."""
    try:
        common = settings()
        configure_logging(
            level=common.log_level,
            style=common.log_format,
            file=common.log_file,
            secrets=common.secrets(),
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            host = Host(services, common, alone=alone, clock=clock)
            runner.run(host.run(on_ready=on_ready))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _told(error)
    return 0


def explained(error: BaseException) -> str:
    """``error`` in words for whoever runs Patchline, without a traceback."""
    if isinstance(error, FOR_PEOPLE):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"unexpected {type(error).__name__}: {error}{where}; PATCHLINE_LOG_LEVEL=debug shows more"


def _told(error: BaseException) -> int:
    logging.getLogger("patchline").debug("the whole of it", exc_info=error)
    sys.stderr.write(f"patchline: {explained(error)}\n")
    return 2 if isinstance(error, SettingsError) else 1
