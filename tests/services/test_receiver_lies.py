"""A broker that does not keep to MQTT, or to any measure: the receiver goes on."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ingest.receiver import QUEUED_BYTES_MAX, Receiver
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
    """A PUBLISH of QoS 1."""
    body = len(topic).to_bytes(2) + topic + number.to_bytes(2) + data
    left, length = len(body), bytearray()
    while left >= 128:
        length.append(left % 128 | 128)
        left //= 128
    return bytes([0x32, *length, left]) + body


@contextmanager
def connected(kept: Kept) -> Iterator[tuple[Receiver, socket.socket]]:
    """A receiver, and the broker's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = Receiver(kept, Broker("127.0.0.1", server.getsockname()[1], "3.1.1"))
        receiver.start()
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(CONNACK)
            until(lambda: receiver.is_up)
            yield receiver, connection
            receiver.stop()


def test_a_topic_that_is_no_text_ends_nothing() -> None:
    """The message is passed over, and the next one is taken: the client's thread is alive."""
    kept = Kept()
    with connected(kept) as (receiver, connection):
        connection.sendall(publish(b"lading/v1/\xff/x/frames", 1, b"lost"))
        connection.sendall(publish(b"lading/v1/demo/x/frames", 2, b"taken"))
        until(lambda: receiver.step(0.05) >= 0 and bool(kept.messages))
    assert kept.messages == [("lading/v1/demo/x/frames", b"taken")]


def test_long_messages_fill_no_memory() -> None:
    """While nothing is taken the receiver stops to read at a number of bytes; what it has is taken afterwards."""
    kept, data = Kept(), bytes(2**20)
    with connected(kept) as (receiver, connection):
        connection.settimeout(2.0)
        sent = 0
        with suppress(TimeoutError):
            while sent < 4 * QUEUED_BYTES_MAX // len(data):
                connection.sendall(publish(b"lading/v1/demo/x/frames", sent + 1, data))
                sent += 1
        assert receiver.queued * len(data) <= QUEUED_BYTES_MAX
        until(lambda: receiver.step() >= 0 and len(kept.messages) >= sent)
