"""The fleet file of the running Patchline: what it is, and putting another in its place."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request

from patchline_fleet.fleetfile import FleetFile, FleetFileError, read_fleet_file
from patchline_gateway.api.listing import everything
from patchline_gateway.api.refusals import Refusal, bad_input
from patchline_gateway.files import replace_whole
from patchline_gateway.fleet_changes import changes_between, not_registered
from patchline_gateway.sentences import count
from patchline_gateway.settings import Settings
from patchline_gateway.shapes import FleetApplied, FleetChange, FleetState, Problem
from patchline_gateway.views import FLEET_FILE, FleetFileView, GroupView, TargetView
from patchline_kit.context import ServiceHandle

_YAML = {"requestBody": {"required": True, "content": {"application/yaml": {"schema": {"type": "string"}}}}}


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls about the fleet file."""
    router = APIRouter(tags=["fleet"])

    @router.get("/fleet")
    async def fleet_state() -> FleetState:
        """Which file is watched, and how much of it is registered."""
        path = handle.setting(Settings).fleet
        read = await handle.read(FleetFileView, FLEET_FILE)
        return FleetState(
            file=str(path.absolute()) if path else None,
            digest=read.digest if read else None,
            error=read.error if read else None,
            groups_total=await handle.count(GroupView, "registered"),
            targets_total=await handle.count(TargetView, "registered"),
        )

    @router.put("/fleet", openapi_extra=_YAML)
    async def apply(request: Request) -> FleetApplied:
        """Check a fleet file and put it in the place of the watched one; relative paths start there."""
        path = _watched(handle)
        content = await request.body()
        new = await asyncio.to_thread(_checked, path, content)
        changes = changes_between(await asyncio.to_thread(_present, path), new)
        await asyncio.to_thread(_replace, path, content)
        return FleetApplied(
            file=str(path),
            groups_total=len(new.groups),
            targets_total=len(new.targets),
            changes=changes,
            digest=hashlib.sha256(content).hexdigest(),
        )

    @router.get("/fleet/pending")
    async def pending() -> list[FleetChange]:
        """What the watched file says and is not registered yet; empty when all of it is."""
        path = _watched(handle)
        try:
            current = await asyncio.to_thread(read_fleet_file, path)
        except FleetFileError as error:
            raise _not_valid(error) from error
        groups = {view.id: view.definition for view in await everything(handle, GroupView, "registered")}
        targets = {view.id: view.definition for view in await everything(handle, TargetView, "registered")}
        return not_registered(current, groups, targets)

    return router


def _watched(handle: ServiceHandle) -> Path:
    path = handle.setting(Settings).fleet
    if path is None:
        raise Refusal(
            HTTPStatus.CONFLICT,
            "no-fleet-file",
            "This Patchline was started without a fleet file, so there is none to replace.",
            "Start it with `patchline up --fleet FILE`.",
        )
    return path.absolute()


def _checked(path: Path, content: bytes) -> FleetFile:
    """What ``content`` says when it lies where the watched file lies. Raises :class:`Refusal`."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(content)
        return read_fleet_file(draft)
    except FleetFileError as error:
        raise _not_valid(error) from error
    except OSError as error:
        raise _not_writable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


def _not_valid(error: FleetFileError) -> Refusal:
    problems = [
        Problem(
            line=found.line or None,
            field=found.where or None,
            problem=found.reason + (f"; {found.fix}" if found.fix else ""),
        )
        for found in error.problems
    ]
    return bad_input(
        f"The fleet file has {count(len(problems), 'problem')}; nothing was changed.",
        "Correct what is named.",
        problems,
    )


def _not_writable(path: Path, error: OSError) -> Refusal:
    return Refusal(
        HTTPStatus.CONFLICT,
        "not-writable",
        f"The fleet file {path} cannot be written: {error.strerror}.",
        "Make its folder writable for Patchline, or replace the file yourself: it is read again on change.",
    )


def _replace(path: Path, content: bytes) -> None:
    try:
        replace_whole(path, content)
    except OSError as error:
        raise _not_writable(path, error) from error


def _present(path: Path) -> FleetFile | None:
    try:
        return read_fleet_file(path)
    except FleetFileError:
        return None
