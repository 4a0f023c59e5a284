"""What the embedded broker writes, on a disk that takes nothing for a while."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from ingest.broker_store import RETRY_S, BrokerStore, Stored
from tests.waiting import LIMIT_S


def test_who_waits_for_the_disk_is_told_once_it_takes_again(tmp_path: Path) -> None:
    """Nobody is told that a message is durable before it is; nobody waits for ever once it can be."""
    path = tmp_path / "broker.sqlite"
    store = BrokerStore(path)

    async def scene() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as disk:
            disk.execute("ALTER TABLE retained RENAME TO away")
            store.retain("topic", b"message")
            first = asyncio.create_task(store.flush())
            await asyncio.sleep(1.5 * RETRY_S)
            store.retain("topic", b"newer")
            second = asyncio.create_task(store.flush())
            await asyncio.sleep(0)
            assert not first.done()
            assert not second.done()
            disk.execute("ALTER TABLE away RENAME TO retained")
            await asyncio.wait_for(asyncio.gather(first, second), 30 * RETRY_S)
            assert disk.execute("SELECT data FROM retained").fetchall() == [(b"newer",)]

    asyncio.run(scene())
    store.close()


def test_what_was_delivered_is_forgotten_once_the_disk_takes_again(tmp_path: Path) -> None:
    """Nobody waits for that: it is tried again by itself, and fails as no fault of ours."""
    path = tmp_path / "broker.sqlite"
    store = BrokerStore(path)
    faults: list[object] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        store.add(Stored(store.next_number(), "client", "topic", b"message", False, None))
        await store.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as disk:
            disk.execute("ALTER TABLE letters RENAME TO away")
            store.remove(1)
            await asyncio.sleep(1.5 * RETRY_S)
            disk.execute("ALTER TABLE away RENAME TO letters")
            end_s = loop.time() + LIMIT_S
            while disk.execute("SELECT count(*) FROM letters").fetchone() != (0,):
                assert loop.time() < end_s
                await asyncio.sleep(0.05)

    asyncio.run(scene())
    store.close()
    assert faults == []
