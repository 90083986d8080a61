"""Reads that share requests: what is asked while a request is under way goes with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_KEYS = 100
"""In one request, unless somebody asks for more at once: MongoDB's first answer holds so many documents."""


@dataclass(slots=True)
class _Question(Generic[K, V]):
    keys: Sequence[K]
    answer: asyncio.Future[dict[K, V]]


class SharedReads(Generic[K, V]):
    """Answers by key, of a server that ``ask`` asks for many keys at once; it leaves out what it lacks.

    One who asks alone waits for one request and costs one; many who ask together cost two, whatever their
    number. An answer is never older than its question.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask = ask
        self._questions: list[_Question[K, V]] = []
        self._asking: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[K]) -> dict[K, V]:
        """What is there of ``keys``. Raises what asking raises."""
        question = _Question[K, V](keys, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await question.answer

    async def _ask_all(self) -> None:
        try:
            while self._questions:
                await self._ask_some(self._take())
        finally:
            self._asking = None

    def _take(self) -> list[_Question[K, V]]:
        """The next questions, as many as fit into a request, but at least one."""
        size = taken = 0
        for question in self._questions:
            size += len(question.keys)
            if taken and size > MOST_KEYS:
                break
            taken += 1
        questions, self._questions = self._questions[:taken], self._questions[taken:]
        return questions

    async def _ask_some(self, questions: Sequence[_Question[K, V]]) -> None:
        keys = list(dict.fromkeys(key for question in questions for key in question.keys))
        try:
            found = await self._ask(keys)
        except Exception as error:
            for question in questions:
                if not question.answer.done():
                    question.answer.set_exception(error)
            return
        for question in questions:
            if not question.answer.done():
                question.answer.set_result({key: found[key] for key in question.keys if key in found})
