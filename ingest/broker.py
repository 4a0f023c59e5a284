"""The embedded MQTT 3.1.1 broker: a thread with a socket. What it promises: `ingest.broker_delivery`."""

import asyncio
import logging
import socket
import threading
from pathlib import Path

from ingest.broker_delivery import BrokerLimits, KeepingBroker
from ingest.broker_store import BrokerStore
from lading.errors import ServiceError

START_LIMIT_S = 20.0
STOP_LIMIT_S = 20.0
SESSION_EXPIRY_S = 7 * 86_400
# Of amqtt: somebody looked whether the port listens, as `lading up` does; and what our own error says in one line.
NO_TROUBLE = ("No data ", "Broker startup failed")
logging.getLogger("amqtt.broker").addFilter(
    lambda record: not any(text in record.getMessage() for text in NO_TROUBLE)
)


class Broker:
    """The broker in a thread of its own, on a real socket. Port 0 takes a free one; `port` says which.

    With a store, a broker that was killed goes on where it was; without one, all is in memory.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        store: Path | None = None,
        limits: BrokerLimits = BrokerLimits(),
    ) -> None:
        self.host = host
        self.port = port
        self._store = store
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start(self) -> None:
        """Listen, or ServiceError `broker`."""
        ready = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="broker", daemon=True)
        self._thread.start()
        if not ready.wait(START_LIMIT_S) or self._error is not None:
            raise ServiceError("broker", f"{self.host}:{self.port} does not listen: {self._error}")

    def stop(self) -> None:
        """Stop listening and close every connection. What sessions hold is gone, unless there is a store."""
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_LIMIT_S)

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if self.port == 0:
            self.port = _free_port(self.host)
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            "plugins": {},
            "session_expiry_interval": SESSION_EXPIRY_S,
        }
        try:
            store = BrokerStore(self._store) if self._store else None
            broker = KeepingBroker(config, self._limits, store)
            await broker.start()
        except Exception as exc:  # noqa: BLE001 - told to the thread that waits in `start`
            self._error = exc
            ready.set()
            return
        ready.set()
        await self._stopping.wait()
        await broker.shutdown()
        if store:
            store.close()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
