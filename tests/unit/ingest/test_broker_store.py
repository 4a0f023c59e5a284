"""What the embedded broker writes, on a disk that takes nothing for a while."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from ingest.broker_store import RETRY_S, BrokerStore


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
