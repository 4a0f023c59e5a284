"""An amqtt broker in this process, on a real socket, for tests."""

import asyncio
import logging
import random
import socket
import threading
import time
from typing import Any

from amqtt.broker import Broker as Amqtt
from amqtt.errors import BrokerError

PLUGINS: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


START_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0


def _free_port() -> int:
    """Below the ports that the system gives to clients, one of which could else sit there at a second start."""
    for port in random.sample(range(15_000, 30_000), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port among 100")


class AmqttBroker:
    """Start, stop, and start again on the same port."""

    def __init__(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self.port = _free_port()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(START_LIMIT_S), "the broker did not start in time"

    def stop(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}
        broker = await self._started({"listeners": {"default": listener}, "plugins": PLUGINS})
        ready.set()
        await self._stopping.wait()
        try:
            await asyncio.wait_for(broker.shutdown(), STOP_LIMIT_S)
        except TimeoutError:  # it waits for a connection that has gone: let at least the port go
            for server in broker._servers.values():
                if server.instance is not None:
                    server.instance.close()

    async def _started(self, config: dict[str, Any]) -> Amqtt:
        """The broker, once the port is free of its predecessor."""
        end_s = time.monotonic() + START_LIMIT_S
        while True:
            broker = Amqtt(config)
            try:
                await broker.start()
            except BrokerError:
                if time.monotonic() > end_s:
                    raise
                await asyncio.sleep(0.1)
            else:
                return broker
