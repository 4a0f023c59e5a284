"""An amqtt broker in this process, on a real socket, for tests."""

import asyncio
import logging
import socket
import threading
from typing import Any

from amqtt.broker import Broker as Amqtt

PLUGINS: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


class AmqttBroker:
    """Start, stop, and start again on the same port."""

    def __init__(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the broker did not start within 10 s"

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
        broker = Amqtt({"listeners": {"default": listener}, "plugins": PLUGINS})
        await broker.start()
        ready.set()
        await self._stopping.wait()
        await broker.shutdown()
