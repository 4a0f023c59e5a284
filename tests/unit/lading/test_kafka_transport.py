"""Promise: what a broker says before it closes a connection is heard, also where both come at once."""

import socket

import pytest
from kafka.net.transport import KafkaTCPTransport

from lading.kafka.transport import keep_last_words


@pytest.mark.parametrize("times", [1, 2])
def test_bytes_that_come_with_the_end_are_given_first(times: int) -> None:
    """First the bytes, then the closed connection, however often the correction is asked for."""
    for _ in range(times):
        keep_last_words()
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.sendall(b"authentication failed")
        theirs.close()
        transport = KafkaTCPTransport(None, ours)
        assert transport._sock_recv() == (b"authentication failed", None)
        data, error = transport._sock_recv()
        assert data == b""
        assert "disconnected" in str(error)
