"""Running a whole Patchline: settings, preflight, banner, and what is said at its end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from urllib.parse import urljoin

import uvloop

from patchline_cli import exit_codes, native_stack, preflight
from patchline_cli.failures import Failure, wrong_use
from patchline_cli.output import Output, count
from patchline_fleet.fleetfile import FleetFile
from patchline_kit.host import Host, discover_services
from patchline_kit.installation import installation_of, servers_named_in
from patchline_kit.logs import configure_logging
from patchline_kit.main import FOR_PEOPLE
from patchline_kit.service import Service
from patchline_kit.settings import DEFAULT_PORT, ServiceSettings, SettingsError, load_settings

GRACE = timedelta(seconds=4)
"""How long work in hand may take to end at Ctrl-C, unless PATCHLINE_GRACE says otherwise."""
LOG_FILE = "patchline.log"


def run_whole(given: Mapping[str, object], *, native: bool = False) -> None:
    """Run all services until SIGINT or SIGTERM; ``given`` are settings that win over the environment.

    With ``native`` the servers that `make native` started are used where ``given`` names no others.

    Raises :class:`Failure` if something stands in the way.
    """
    output = Output()
    settings = _settings(output, native_stack.given_by_it(given) if native else given)
    fleet_file = preflight.check(settings)
    configure_logging(
        level=settings.log_level,
        style="text" if settings.log_format == "auto" else settings.log_format,
        file=settings.log_file,
        secrets=settings.secrets(),
    )
    _run(output, settings, fleet_file)


def _settings(output: Output, given: Mapping[str, object]) -> ServiceSettings:
    """Settings from the options and else from the environment. On a terminal the log goes into a file."""
    try:
        settings = load_settings(ServiceSettings, **given)
        changes: dict[str, object] = {"dir": settings.dir.absolute()}
        if settings.port == 0:
            changes["port"] = preflight.free_port(settings.host)
        if settings.fleet:
            changes["fleet"] = settings.fleet.absolute()
        if settings.log_file is None and output.err.is_terminal:
            changes["log_file"] = settings.dir.absolute() / LOG_FILE
        if "PATCHLINE_GRACE" not in os.environ:
            changes["grace"] = GRACE
    except SettingsError as error:
        raise wrong_use("A setting is wrong.", details=str(error).splitlines()) from error
    return settings.model_copy(update=changes)


def _run(output: Output, settings: ServiceSettings, fleet: FleetFile | None) -> None:
    started = time.monotonic()

    def ready(_: Host) -> None:
        for line in banner(settings, fleet, time.monotonic() - started):
            output.line(line)
        sys.stdout.flush()

    try:
        host = WholeHost(discover_services(), settings, output)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(host.run(on_ready=ready))
    except SettingsError as error:
        raise wrong_use("A setting is wrong.", details=str(error).splitlines()) from error
    except FOR_PEOPLE as error:
        text = str(error)
        raise Failure(f"{text[:1].upper()}{text[1:]}", exit_code=exit_codes.FAILED) from error


class WholeHost(Host):
    """A host that says at its end what it left running."""

    def __init__(self, services: Sequence[Service], settings: ServiceSettings, output: Output) -> None:
        super().__init__(services, settings, alone=True)
        self._output = output

    async def close(self) -> None:
        """Stop, and say what goes on at the next start."""
        runtimes = dict(self.runtimes)
        if runtimes:
            grace = self.settings.grace.total_seconds()
            self._output.say(f"Stopping; what is in hand has {grace:g} s to end.")
        await super().close()
        cut_off = [f"{name}: {what}" for name, runtime in runtimes.items() for what in runtime.cut_off]
        if runtimes and not cut_off:
            self._output.say("Stopped; nothing was left running.")
        if cut_off:
            self._output.say("These did not end in that time; they go on at the next start:")
            for what in cut_off[:10]:
                self._output.say(f"  {what}")
            if len(cut_off) > 10:
                self._output.say(f"  and {len(cut_off) - 10} more")


def banner(settings: ServiceSettings, fleet: FleetFile | None, seconds: float) -> list[str]:
    """What runs where, and what to try next: at most eight lines."""
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{settings.port}"
    facts = {
        "Gateway": f"{url}  (API: {url}/docs)",
        "Data": str(settings.dir),
        "Transport": servers_of(settings),
        "Fleet": f"{fleet.path}: {count(len(fleet.targets), 'target')} in {count(len(fleet.groups), 'group')}"
        if fleet
        else "none; start with --fleet FILE",
        "Traces": _traces(),
        "Log": str(settings.log_file or "standard error"),
        "Try": f"patchline{'' if settings.port == DEFAULT_PORT else f' --url {url}'} feed publish FILE",
    }
    width = max(map(len, facts)) + 2
    lines = [f"Patchline {version('patchline-cli')} is ready after {seconds:.1f} s. Ctrl-C stops it."]
    return lines + [f"  {name:<{width}}{value}" for name, value in facts.items()]


def servers_of(settings: ServiceSettings) -> str:
    """Transport and store, as a person reads them; without passwords."""
    names = installation_of(settings)
    prefix = f" (topics {names.topic_prefix}*)" if names.topic_prefix else ""
    transport = f"Kafka at {settings.kafka}{prefix}" if settings.kafka else "embedded log"
    store = "SQLite"
    if settings.mongo:
        store = f"MongoDB at {servers_named_in(settings.mongo.get_secret_value())} ({names.database})"
    return f"{transport}; store: {store}"


def _traces() -> str:
    if (zipkin := os.environ.get("OTEL_EXPORTER_ZIPKIN_ENDPOINT")) and "zipkin" in os.environ.get(
        "OTEL_TRACES_EXPORTER", ""
    ):
        return f"Zipkin, {urljoin(zipkin, '/')}"
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    exporter = os.environ.get("OTEL_TRACES_EXPORTER")
    if exporter == "none" or not (endpoint or exporter):
        return "not exported; set OTEL_EXPORTER_OTLP_ENDPOINT"
    return endpoint or str(exporter)
