"""A mailbox keeps order and bounds, whatever is put, taken and acknowledged."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from ingest.mailbox import Letter, Mailbox

T = TypeVar("T")


def letter(name: str, size: int = 1, share: str | None = None) -> Letter:
    """A letter of so many bytes."""
    return Letter(name, bytes(size), False, share, 0)


async def soon(waiting: Awaitable[T]) -> T | None:
    """What is there within a few turns of the loop; None when it would have to wait."""
    task = asyncio.ensure_future(waiting)
    for _ in range(5):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


def test_few_are_under_way() -> None:
    """No more than the window are sent and not acknowledged, in count and in bytes."""

    async def run() -> None:
        box = Mailbox(2, 1_000, 100, 10_000)
        for name in "abc":
            box.put(letter(name))
        sent = [await box.next(), await box.next()]
        assert [one.topic for _, one in sent] == ["a", "b"]
        assert await soon(box.next()) is None
        assert box.acknowledge(sent[0][0]) == sent[0][1]
        assert box.acknowledge(sent[0][0]) is None
        third = await box.next()
        assert third[1].topic == "c"
        big = Mailbox(10, 100, 100, 10_000)
        big.put(letter("large", 500))
        big.put(letter("next"))
        packet_id, _ = await big.next()
        assert await soon(big.next()) is None
        big.acknowledge(packet_id)
        assert (await big.next())[1].topic == "next"

    asyncio.run(run())


def test_it_is_full_until_something_is_acknowledged() -> None:
    """Bounds in count and in bytes hold what waits and what is under way."""

    async def run() -> None:
        box = Mailbox(10, 1_000, 2, 10_000)
        box.put(letter("a"))
        assert not box.is_full
        box.put(letter("b"))
        assert box.is_full
        packet_id, _ = await box.next()
        assert box.is_full
        waiting = asyncio.ensure_future(box.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        box.acknowledge(packet_id)
        await waiting
        assert not box.is_full
        heavy = Mailbox(10, 1_000, 100, 50)
        heavy.put(letter("large", 60))
        assert heavy.is_full

    asyncio.run(run())


def test_packet_ids_are_not_used_twice_at_once() -> None:
    """A long-unacknowledged message keeps its number while the others go round."""

    async def run() -> None:
        box = Mailbox(3, 1_000, 10, 10_000)
        box.put(letter("stays"))
        stays, _ = await box.next()
        for _ in range(70_000):
            box.put(letter("passes"))
            packet_id, _ = await box.next()
            assert 1 <= packet_id <= 65_535
            assert packet_id != stays
            box.acknowledge(packet_id)
        assert [(number, one.topic) for number, one in box.sent()] == [(stays, "stays")]

    asyncio.run(run())


def test_shared_letters_are_taken_back_in_order() -> None:
    """Those under way first, then those that wait; the mailbox's own stay."""

    async def run() -> None:
        box = Mailbox(2, 1_000, 10, 10_000)
        for name, share in [("a", "$share/g/x"), ("b", None), ("c", "$share/g/x"), ("d", None)]:
            box.put(letter(name, 1, share))
        await box.next()
        await box.next()
        assert [one.topic for one in box.take_shared()] == ["a", "c"]
        assert [one.topic for _, one in box.sent()] == ["b"]
        assert (await box.next())[1].topic == "d"

    asyncio.run(run())
