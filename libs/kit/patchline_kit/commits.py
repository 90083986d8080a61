"""What is saved in one turn of the event loop goes to the store together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from patchline_kit.store.port import Save, Saved, Store

Told = Callable[[Saved | Exception], None]
"""Is told what became of a save."""


class Commits:
    """Collects saves for the store.

    ``on_saved`` hears of each that is stored, before its own caller does; ``on_written`` when all have heard.
    """

    def __init__(
        self, store: Store, on_saved: Callable[[Save, Saved], None], on_written: Callable[[], None]
    ) -> None:
        self._store = store
        self._on_saved = on_saved
        self._on_written = on_written
        self._collected: list[tuple[Save, Told]] = []
        self._writing: set[asyncio.Task[None]] = set()

    def add(self, save: Save, told: Told) -> None:
        """Store ``save`` with what else is added in this turn of the event loop, and call ``told``."""
        if not self._collected:
            asyncio.get_running_loop().call_soon(self._flush)
        self._collected.append((save, told))

    async def store(self, save: Save) -> Saved:
        """Store ``save`` likewise; durable on return. Raises what the store raises."""
        result: asyncio.Future[Saved] = asyncio.get_running_loop().create_future()
        self.add(save, partial(_resolve, result))
        return await result

    async def kill(self) -> None:
        """Wait for no write any more."""
        self._collected = []
        for writing in self._writing:
            writing.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)

    def _flush(self) -> None:
        collected, self._collected = self._collected, []
        if collected:
            writing = asyncio.create_task(self._write(collected))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)

    async def _write(self, collected: Sequence[tuple[Save, Told]]) -> None:
        results: Sequence[Saved | Exception]
        try:
            results = await self._store.save_all([save for save, _told in collected])
        except Exception as error:
            results = [error] * len(collected)
        for (save, told), result in zip(collected, results, strict=True):
            if isinstance(result, Saved):
                self._on_saved(save, result)
            told(result)
        self._on_written()


def _resolve(future: asyncio.Future[Saved], result: Saved | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Saved):
        future.set_result(result)
    else:
        future.set_exception(result)
