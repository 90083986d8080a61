"""Checks of this machine, which need no running Patchline."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uv as uv_package

from patchline_cli.diagnosis import Diagnosis, fails, passes, skips, warns
from patchline_cli.output import count
from patchline_fleet.fleetfile import FleetFileError, read_fleet_file

PYTHON = (3, 11)
LOW_DISK = 1 << 30
NO_DISK = 64 << 20
"""Below this the services take no more records (see ``/ready``)."""
ZIPKIN_ENDPOINTS = ("OTEL_EXPORTER_ZIPKIN_ENDPOINT",)
TRACE_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def python() -> Diagnosis:
    """The Python that runs this."""
    version = platform.python_version()
    if sys.version_info >= PYTHON:
        return passes("python", f"Python {version}.")
    return fails("python", f"Python {version} is too old.", "Use Python 3.11 or newer.")


def uv() -> Diagnosis:
    """The tool that the venv driver works with."""
    try:
        binary = uv_package.find_uv_bin()
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return fails("uv", f"uv does not run: {error}.", "Run `make install` again.")
    return passes("uv", f"{answer.stdout.strip()}.")


def state_folder(folder: Path) -> Diagnosis:
    """Whether the folder that holds all state can be written, with room to spare."""
    if not folder.exists():
        return skips("state-folder", f"{folder} is not there yet; `patchline up` makes it.")
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return fails(
            "state-folder",
            f"{folder} cannot be written.",
            f"Make it a folder that {_user()} may write, or name another with --dir.",
        )
    free = shutil.disk_usage(folder).free
    room = f"{folder} is writable, {free / (1 << 30):.1f} GiB are free."
    if free < NO_DISK:
        return fails("state-folder", room, "Make room: the services take nothing more.")
    return warns("state-folder", room, "Make room.") if free < LOW_DISK else passes("state-folder", room)


def store(folder: Path) -> Diagnosis:
    """Whether the MongoDB that the environment names answers and lets us in."""
    if not os.environ.get("PATCHLINE_MONGO"):
        return skips("store", "no MongoDB is named here (PATCHLINE_MONGO).")
    from patchline_kit.settings import (  # noqa: PLC0415 - slow to import, and seldom wanted
        ServiceSettings,
        SettingsError,
        load_settings,
    )
    from patchline_kit.store.opening import look_at_mongo  # noqa: PLC0415
    from patchline_kit.store.port import StoreError  # noqa: PLC0415

    try:
        where = asyncio.run(look_at_mongo(load_settings(ServiceSettings, dir=folder)))
    except SettingsError as error:
        return fails("store", f"{error}.", "Correct the setting.")
    except StoreError as error:
        what, _, fix = str(error).partition(": ")
        return fails("store", f"{what}.", f"{fix[:1].upper()}{fix[1:]}.")
    return passes("store", f"{where} answers.")


def fleet_file(given: Path | None) -> Diagnosis:
    """Whether the fleet file that is named here can be used; the watched one is a check of its own."""
    path = given or (Path(named) if (named := os.environ.get("PATCHLINE_FLEET")) else None)
    if path is None:
        return skips("fleet-file", "none is named here (--fleet or PATCHLINE_FLEET).")
    try:
        fleet = read_fleet_file(path)
    except FleetFileError as error:
        more = f" ({len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        return fails("fleet-file", f"{error.problems[0]}{more}", f"See `patchline fleet check {path}`.")
    return passes(
        "fleet-file", f"{path}: {count(len(fleet.targets), 'target')} in {count(len(fleet.groups), 'group')}."
    )


def traces() -> Diagnosis:
    """Whether the trace exporter that the environment names answers."""
    names = ZIPKIN_ENDPOINTS if "zipkin" in os.environ.get("OTEL_TRACES_EXPORTER", "") else TRACE_ENDPOINTS
    endpoint = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if endpoint is None or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return skips("traces", "no exporter is set (OTEL_EXPORTER_OTLP_ENDPOINT).")
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=2).close()
    except OSError as error:
        return warns(
            "traces",
            f"{endpoint} does not answer: {error.strerror or error}.",
            "Start the collector, or unset OTEL_EXPORTER_OTLP_ENDPOINT. Updates go on without it.",
        )
    return passes("traces", f"{endpoint} answers.")


def _user() -> str:
    return os.environ.get("USER") or f"user {os.getuid()}"
