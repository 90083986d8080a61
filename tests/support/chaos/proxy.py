"""The network between the services and the broker: it can be cut, for all or for one process, and healed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

CHUNK = 256 * 1024


class Proxy:
    """Forwards TCP connections to ``port`` of this machine, in a thread of its own.

    A cut connection stays open and carries nothing, as when packets are lost; ``reset`` ends it.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._pairs: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_cut = False
        self.port = 0

    def start(self) -> None:
        """Listen on a free port, which is then :attr:`port`."""
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._connected, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close everything."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, pids: Collection[int] | None = None, *, reset: bool = False) -> int:
        """Cut the connections of these processes, or all, those to come too; how many there were."""
        return self._call(self._cut(None if pids is None else _ports_of(pids), reset=reset))

    def heal(self) -> None:
        """Carry everything again, with what was held back."""
        self._call(self._heal())

    def _call(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        carries = asyncio.Event()
        if not self._all_cut:
            carries.set()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self._pairs[port] = (writer, back, carries)
        pumps = [
            asyncio.create_task(_pump(reader, back, carries)),
            asyncio.create_task(_pump(there, writer, carries)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._tasks.difference_update(pumps)
        self._pairs.pop(port, None)
        for each in (writer, back):
            each.close()

    async def _cut(self, ports: set[int] | None, *, reset: bool) -> int:
        self._all_cut = ports is None
        hit = [pair for port, pair in self._pairs.items() if ports is None or port in ports]
        for writer, back, carries in hit:
            carries.clear()
            if reset:
                writer.transport.abort()
                back.transport.abort()
        return len(hit)

    async def _heal(self) -> None:
        self._all_cut = False
        for _writer, _back, carries in self._pairs.values():
            carries.set()

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carries: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            await carries.wait()
            writer.write(data)
            await writer.drain()


def _ports_of(pids: Collection[int]) -> set[int]:
    """The local TCP ports that these processes have."""
    inodes: set[str] = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                name = str(link.readlink())
                if name.startswith("socket:["):
                    inodes.add(name[8:-1])
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes}
