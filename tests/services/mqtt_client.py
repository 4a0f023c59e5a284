"""A paho client that tests publish and subscribe with, on any broker."""

import socket
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import until

FRAMES = "lading/v1/demo/00/frames"
ALL_FRAMES = "lading/v1/+/+/frames"


class Client:
    """A paho client with manual acknowledgement. `vanish` ends it as a kill would: the socket goes, no goodbye."""

    def __init__(
        self,
        port: int,
        name: str,
        *filters: str,
        clean: bool = False,
        ack: bool = True,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.got: list[paho.MQTTMessage] = []
        self.acked: set[int] = set()
        self.subscribed = False
        self.ack_all = ack
        self._filters = filters
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, manual_ack=True
        )
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_publish = lambda _c, _d, mid, _r, _p: self.acked.add(mid)
        self.client.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        self.client.max_inflight_messages_set(1000)
        if will:
            self.client.will_set(*will, qos=1, retain=True)
        self.client.connect(port=port, host="127.0.0.1", keepalive=30)
        self.client.loop_start()
        until(lambda: self.subscribed if filters else self.client.is_connected())

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        if self._filters:
            client.subscribe([(a_filter, 1) for a_filter in self._filters])

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.got.append(message)
        if self.ack_all:
            client.ack(message.mid, message.qos)

    @property
    def payloads(self) -> list[bytes]:
        """What came."""
        return [message.payload for message in self.got]

    def send(self, topic: str, *payloads: bytes, retain: bool = False, wait: bool = True) -> None:
        """Publish with QoS 1 and wait for every PUBACK."""
        mids = {self.client.publish(topic, payload, 1, retain).mid for payload in payloads}
        if wait:
            until(lambda: mids <= self.acked)

    def close(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Go without goodbye."""
        self.client.loop_stop()
        found = self.client.socket()
        assert found is not None
        found.shutdown(socket.SHUT_RDWR)
        found.close()


def numbered(count: int, first: int = 0) -> list[bytes]:
    """Payloads that tell their order."""
    return [b"%d" % n for n in range(first, first + count)]
