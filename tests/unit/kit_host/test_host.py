from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from patchline_kit.context import Context, ServiceHandle
from patchline_kit.documents import Document, Message
from patchline_kit.folder import FolderLock, FolderTaken, name_of
from patchline_kit.host import Host, HostError, discover_services, settings_of
from patchline_kit.main import explained, run_services
from patchline_kit.service import Service
from patchline_kit.settings import ServiceSettings, SettingsError, load_settings
from patchline_kit.store.port import StoreError
from patchline_kit.transport.port import TransportError


class Note(Document, collection="notes"):
    text: str


class Write(Message):
    text: str


def notebook() -> Service:
    service = Service("notebook", emits=[])

    @service.on(Write)
    async def write(message: Write, ctx: Context) -> None:
        ctx.create(Note(id=message.to, text=message.text))

    return service


def settings(folder: Path, **given: object) -> ServiceSettings:
    return load_settings(ServiceSettings, dir=folder, **given)


async def running(host: Host) -> asyncio.Task[None]:
    ready = asyncio.Event()
    task = asyncio.create_task(host.run(on_ready=lambda _: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=30)
    waiting.cancel()
    if task.done():
        await task
    assert ready.is_set()
    return task


async def test_what_a_service_stored_is_there_after_the_next_start(tmp_path: Path):
    first = Host([notebook()], settings(tmp_path))
    task = await running(first)
    await first.runtimes["notebook"].handle.deliver(Write(to="n", text="kept"))
    first.stop()
    await task

    second = Host([notebook()], settings(tmp_path))
    task = await running(second)
    note = await second.runtimes["notebook"].handle.read(Note, "n")
    second.stop()
    await task
    assert note is not None
    assert note.text == "kept"


async def test_a_second_patchline_on_the_folder_is_refused_and_told_who_has_it(tmp_path: Path):
    first = Host([notebook()], settings(tmp_path))
    task = await running(first)
    with pytest.raises(FolderTaken, match=rf"already runs on .* \(pid {os.getpid()}\)"):
        await Host([notebook()], settings(tmp_path)).start()
    with pytest.raises(FolderTaken):
        await Host([notebook()], settings(tmp_path), alone=False).start()
    first.stop()
    await task
    await Host([notebook()], settings(tmp_path)).start()


async def test_services_in_processes_of_their_own_share_the_folder(tmp_path: Path):
    one, two = (FolderLock(tmp_path, alone=False, services=["planning"]) for _ in range(2))
    with pytest.raises(FolderTaken, match="service planning"):
        FolderLock(tmp_path, alone=True, services=["feeds", "planning"])
    one.release()
    two.release()
    FolderLock(tmp_path, alone=True, services=["feeds", "planning"]).release()


async def test_a_service_of_ones_own_runs_beside_a_whole_patchline(tmp_path: Path):
    whole = FolderLock(tmp_path, alone=True, services=["feeds", "planning"])
    FolderLock(tmp_path, alone=False, services=["diary"]).release()
    with pytest.raises(FolderTaken, match="service planning"):
        FolderLock(tmp_path, alone=False, services=["planning"])
    whole.release()


def test_a_folder_keeps_its_name(tmp_path: Path):
    assert name_of(tmp_path) == name_of(tmp_path)


async def test_health_and_metrics_are_served_where_the_settings_say(tmp_path: Path):
    host = Host([notebook()], settings(tmp_path, health_port=0))
    task = await running(host)
    assert host.health_address is not None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{host.health_address[1]}") as http:
        assert (await http.get("/ready")).json() == {
            "ready": True,
            "reasons": [],
            "services": {
                "notebook": {
                    "ready": True,
                    "reasons": [],
                    "assigned": True,
                    "caught_up": True,
                    "backlog": 0,
                    "stuck": [],
                }
            },
        }
        assert "patchline_lag_records" in (await http.get("/metrics")).text
    host.stop()
    await task


async def test_a_health_port_in_use_is_said_with_the_way_out(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=rf"port {port}: .* Choose another with PATCHLINE_HEALTH_PORT"):
            await Host([notebook()], settings(tmp_path, health_port=port)).start()
    FolderLock(tmp_path, alone=True).release()


async def test_a_service_that_cannot_start_ends_the_others_and_frees_the_folder(tmp_path: Path):
    broken = Service("broken", emits=[])

    @broken.resource(dict)
    async def resource(_: object) -> AsyncIterator[dict[str, str]]:
        raise TransportError("the wheel has come off")
        yield {}

    with pytest.raises(TransportError, match="the wheel has come off"):
        await Host([notebook(), broken], settings(tmp_path)).start()
    FolderLock(tmp_path, alone=True).release()


async def test_a_service_that_breaks_down_ends_the_process_with_its_reason(tmp_path: Path):
    service = notebook()

    async def companion(_: ServiceHandle) -> None:
        raise OSError("its port is taken")

    service.companions.append(companion)
    with pytest.raises(HostError, match=r"notebook: .*its port is taken"):
        await Host([service], settings(tmp_path)).run()


async def test_a_mongodb_that_does_not_answer_is_named_without_its_password(tmp_path: Path):
    nobody = "mongodb://me:s3cret@127.0.0.1:1/db?serverSelectionTimeoutMS=100"
    with pytest.raises(StoreError, match=r"127\.0\.0\.1.*does not answer: start it") as refusal:
        await Host([notebook()], settings(tmp_path, mongo=nobody)).start()
    assert "s3cret" not in str(refusal.value)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"state folder .*file/state cannot be used"):
        await Host([notebook()], settings(tmp_path / "file" / "state")).start()


def test_a_services_own_settings_are_read_beside_the_common_ones(tmp_path: Path, monkeypatch):
    class Own(ServiceSettings):
        pages: int = 1

    monkeypatch.setenv("PATCHLINE_PAGES", "7")
    found = settings_of(Service("own", emits=[], settings=Own), settings(tmp_path, port=1234))
    assert isinstance(found, Own)
    assert (found.pages, found.dir, found.port) == (7, tmp_path, 1234)


def test_a_service_that_is_not_installed_is_named():
    with pytest.raises(HostError, match="no service 'nonesuch' is installed; there are"):
        discover_services(["nonesuch"])


def test_wrong_settings_end_the_process_with_two_and_no_traceback(capsys):
    def wrong() -> ServiceSettings:
        raise SettingsError("PATCHLINE_PORT=many: no number")

    assert run_services([], wrong, alone=False) == 2
    assert capsys.readouterr().err == "patchline: PATCHLINE_PORT=many: no number\n"


def test_an_unexpected_error_says_where_without_a_traceback():
    try:
        {}["lost"]
    except KeyError as error:
        text = explained(error)
    assert text.startswith("unexpected KeyError: 'lost' (test_host.py:")
    assert "\n" not in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_well_when_it_is_told_to(tmp_path: Path, number: signal.Signals):
    code = (
        "import sys; from pathlib import Path; from patchline_kit.main import run_services;"
        "from patchline_kit.service import Service; from patchline_kit.settings import *;"
        f"load = lambda: load_settings(ServiceSettings, dir=Path({str(tmp_path)!r}));"
        "sys.exit(run_services([Service('idle', emits=[])], load, alone=True,"
        " on_ready=lambda _: print('ready', flush=True)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    _, errors = process.communicate()
    assert errors == b""
