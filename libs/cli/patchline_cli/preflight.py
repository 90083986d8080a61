"""What is looked at before Patchline starts, so that nothing fails half-way."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import httpx

from patchline_cli.failures import Failure, wrong_use
from patchline_fleet.fleetfile import FleetFile, FleetFileError, read_fleet_file
from patchline_kit.addresses import refuse_open_door
from patchline_kit.folder import FolderLock, FolderTaken
from patchline_kit.settings import ServiceSettings


def check(settings: ServiceSettings) -> FleetFile | None:
    """The fleet file, if one is named. Raises :class:`Failure` if something stands in the way."""
    refusal = refuse_open_door(settings.host, settings.token.get_secret_value() if settings.token else None)
    if refusal:
        raise wrong_use(f"{refusal[:1].upper()}{refusal[1:]}")
    _folder(settings.dir)
    fleet = _fleet(settings.fleet) if settings.fleet else None
    _port(settings.host, settings.port)
    return fleet


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with _bound(host, 0) as listener:
        port: int = listener.getsockname()[1]
    return port


def _folder(folder: Path) -> None:
    try:
        FolderLock(folder, alone=True).release()
    except FolderTaken as taken:
        raise Failure(str(taken)) from taken
    except OSError as error:
        raise wrong_use(
            f"The state folder {folder} cannot be used: {error.strerror}.",
            fix="Choose another with --dir or PATCHLINE_DIR, or make it writable.",
        ) from error


def _fleet(path: Path) -> FleetFile:
    try:
        return read_fleet_file(path)
    except FleetFileError as error:
        raise wrong_use(
            f"{path} is no valid fleet file.",
            fix="Correct what is named; `patchline fleet check FILE` checks it without starting.",
            details=str(error).splitlines(),
        ) from error


def _port(host: str, port: int) -> None:
    if port == 0:
        return
    try:
        _bound(host, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            who = " by another Patchline" if _is_patchline(host, port) else ""
            raise Failure(
                f"Port {port} on {host} is in use{who}.",
                fix="Choose another with --port, or stop what uses it.",
            ) from error
        raise wrong_use(
            f"The gateway cannot listen on {host}, port {port}: {error.strerror}.",
            fix="Choose others with --host and --port.",
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener


def _is_patchline(host: str, port: int) -> bool:
    shown = f"[{host}]" if ":" in host else host
    try:
        return httpx.get(f"http://{shown}:{port}/live", timeout=1.0).text == "live\n"
    except httpx.HTTPError:
        return False
