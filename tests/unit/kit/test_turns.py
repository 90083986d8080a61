import asyncio

import pytest

from patchline_kit.turns import Turns


async def test_turns_at_one_name_come_in_the_order_of_asking_and_others_do_not_wait():
    turns, order = Turns(), []
    go_on = asyncio.Event()

    async def take(name: str, who: str) -> None:
        async with turns.turn(name):
            order.append(who)
            if who == "first":
                await go_on.wait()

    tasks = [asyncio.create_task(take("a", who)) for who in ("first", "second", "third")]
    tasks.append(asyncio.create_task(take("b", "elsewhere")))
    await tasks[-1]
    assert order == ["first", "elsewhere"]
    go_on.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "elsewhere", "second", "third"]


async def test_a_turn_that_fails_or_is_given_up_lets_the_next_go_on():
    turns = Turns()
    holding = asyncio.Event()

    async def hold() -> None:
        async with turns.turn("a"):
            holding.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await holding.wait()
    waiter = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    async with asyncio.timeout(1), turns.turn("a"):
        pass
    assert turns._waiting == {}


async def test_a_turn_that_ends_while_one_who_waits_is_being_cancelled_passes_to_the_next():
    turns = Turns()
    await turns.take("a")
    first, second = asyncio.create_task(turns.take("a")), asyncio.create_task(turns.take("a"))
    await asyncio.sleep(0)
    first.cancel()
    turns.give("a")
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 1)
