"""A correction of kafka-python 3.0: what the broker said last before it closed a connection is read.

Its transport reads on until nothing more comes, and when that ends in a closed connection it drops what it has just
read. A broker that refuses a password says so and closes, so the reason was lost whenever both came at once.
"""

from functools import wraps
from typing import Any

from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

_DONE = "_lading_last_words"


def keep_last_words() -> None:
    """Give received bytes first, and the closed connection when asked again. Once for all clients of the process."""
    for kind in (KafkaTCPTransport, KafkaSSLTransport):
        if not hasattr(kind._sock_recv, _DONE):
            kind._sock_recv = _bytes_first(kind._sock_recv)


def _bytes_first(receive: Any) -> Any:
    @wraps(receive)
    def received(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        return (data, None) if data else (data, error)

    setattr(received, _DONE, True)
    return received
