"""A broker that does not keep to MQTT: the receiver goes on."""

import socket
from collections.abc import Sequence

from ingest.receiver import Receiver
from ingest.turn import Outcome
from lading.mqtt import Broker
from tests.waiting import until

CONNACK = bytes.fromhex("20020000")


class Kept:
    """Takes all, and keeps it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def take(self, messages: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        self.messages += messages
        return [Outcome("taken")] * len(messages)


def publish(topic: bytes, number: int, data: bytes) -> bytes:
    """A PUBLISH of QoS 1, shorter than 128 bytes."""
    body = len(topic).to_bytes(2) + topic + number.to_bytes(2) + data
    return bytes([0x32, len(body)]) + body


def test_a_topic_that_is_no_text_ends_nothing() -> None:
    """The message is passed over, and the next one is taken: the client's thread is alive."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = Kept()
        receiver = Receiver(kept, Broker("127.0.0.1", server.getsockname()[1], "3.1.1"))
        receiver.start()
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(CONNACK)
            until(lambda: receiver.is_up)
            connection.sendall(publish(b"lading/v1/\xff/x/frames", 1, b"lost"))
            connection.sendall(publish(b"lading/v1/demo/x/frames", 2, b"taken"))
            until(lambda: receiver.step(0.05) >= 0 and bool(kept.messages))
            receiver.stop()
    assert kept.messages == [("lading/v1/demo/x/frames", b"taken")]
