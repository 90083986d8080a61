"""Running replicas of services in child processes: settings, and what is said at start and end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from patchline_cli import exit_codes, native_stack, preflight
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Output
from patchline_cli.replicas import Supervisor, replicas_of
from patchline_cli.running import servers_of
from patchline_kit.settings import PREFIX, ServiceSettings, SettingsError, load_settings


def run_replicas(
    names: Sequence[str], each: int, given: Mapping[str, object], *, native: bool = False
) -> None:
    """Run ``each`` replicas of the named services until SIGINT or SIGTERM.

    ``given`` are settings that win over the environment. Raises :class:`Failure` for what can be seen to
    stand in the way before the start, or makes a replica refuse its settings.
    """
    output = Output()
    services = _known(names)
    try:
        settings = load_settings(ServiceSettings, **(native_stack.given_by_it(given) if native else given))
    except SettingsError as error:
        raise wrong_use("A setting is wrong.", details=str(error).splitlines()) from error
    _refuse_alone(settings, each)
    _hand_down(settings)
    output.say(f"Data in {settings.dir.absolute()}; {servers_of(settings)}. Ctrl-C stops all.")
    supervisor = Supervisor(
        replicas_of(
            services,
            each,
            port=settings.port,
            health_port=settings.health_port,
            free_port=lambda: preflight.free_port(settings.host),
        ),
        grace=settings.grace,
        say=output.say,
    )
    if not asyncio.run(_until_signalled(supervisor)):
        raise Failure("A service cannot run as it is set up.", exit_code=exit_codes.WRONG_USE)
    output.say("Stopped.")


def _known(names: Sequence[str]) -> list[str]:
    installed = sorted(entry_points(group="patchline.services").names)
    for name in names:
        if name not in installed:
            raise wrong_use(
                f"No service {name!r} is installed; there are {', '.join(installed)}.",
                fix="See `patchline service list`.",
            )
    return list(dict.fromkeys(names))


def _refuse_alone(settings: ServiceSettings, each: int) -> None:
    """More than one replica only helps where they share the work."""
    if each > 1 and settings.kafka is None:
        raise wrong_use(
            "Replicas share work only over Kafka; on the embedded log all but one would stand by.",
            fix="Set PATCHLINE_KAFKA (and PATCHLINE_MONGO), use --native, or leave --replicas out.",
        )


def _hand_down(settings: ServiceSettings) -> None:
    """Put what options decided into the environment, which the replicas get."""
    values = {
        "DIR": settings.dir.absolute(),
        "FLEET": settings.fleet.absolute() if settings.fleet else None,
        "KAFKA": settings.kafka,
        "MONGO": settings.mongo.get_secret_value() if settings.mongo else None,
    }
    os.environ.update({PREFIX + name: str(value) for name, value in values.items() if value is not None})


async def _until_signalled(supervisor: Supervisor) -> bool:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    return await supervisor.run()
