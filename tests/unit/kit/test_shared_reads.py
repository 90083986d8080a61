import asyncio
from collections.abc import Sequence

import pytest

from patchline_kit.store.mongo_reads import MOST_KEYS, SharedReads


class Server:
    """Knows the squares of even numbers, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.open = asyncio.Semaphore(0)
        self.called = asyncio.Semaphore(0)

    async def squares(self, keys: Sequence[int]) -> dict[int, int]:
        self.asked.append(list(keys))
        self.called.release()
        await self.open.acquire()
        if 13 in keys:
            raise ValueError("thirteen")
        return {key: key * key for key in keys if key % 2 == 0}


@pytest.fixture
async def server():
    return Server()


async def test_what_is_asked_while_a_request_is_under_way_goes_with_the_next(server):
    reads = SharedReads(server.squares)
    first = asyncio.create_task(reads.get([2]))
    await server.called.acquire()
    others = [asyncio.create_task(reads.get(keys)) for keys in ([4, 5], [6], [4], [2])]
    await asyncio.sleep(0)
    server.open.release()
    assert await first == {2: 4}
    server.open.release()
    assert await asyncio.gather(*others) == [{4: 16}, {6: 36}, {4: 16}, {2: 4}]
    assert server.asked == [[2], [4, 5, 6, 2]]


async def test_what_does_not_fit_into_a_request_goes_with_one_more_and_a_long_question_goes_whole(server):
    reads = SharedReads(server.squares)
    long = list(range(20, 20 + 2 * MOST_KEYS))
    questions = [asyncio.create_task(reads.get(keys)) for keys in ([2], long, [4], [6])]
    for _ in range(3):
        server.open.release()
    answers = await asyncio.gather(*questions)
    assert [len(answer) for answer in answers] == [1, MOST_KEYS, 1, 1]
    assert server.asked == [[2], long, [4, 6]]


async def test_a_request_that_fails_fails_for_those_who_asked_and_the_next_are_answered(server):
    reads = SharedReads(server.squares)
    failing = [asyncio.create_task(reads.get([key])) for key in (13, 2)]
    await server.called.acquire()
    later = asyncio.create_task(reads.get([4]))
    server.open.release()
    server.open.release()
    results = await asyncio.gather(*failing, return_exceptions=True)
    assert [str(result) for result in results] == ["thirteen", "thirteen"]
    assert await later == {4: 16}
    server.open.release()
    assert await reads.get([6]) == {6: 36}


async def test_one_who_gives_up_keeps_nobody_else_from_the_answer(server):
    reads = SharedReads(server.squares)
    gives_up, stays = (asyncio.create_task(reads.get([2])) for _ in range(2))
    await server.called.acquire()
    gives_up.cancel()
    server.open.release()
    assert await stays == {2: 4}
