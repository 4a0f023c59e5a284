"""Ports of this machine."""

import random
import socket
from pathlib import Path

_FIRST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_chance = random.SystemRandom()  # two runs of the tests at once look in different places


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nothing listens on now.

    None that the system gives to outgoing connections: a client that asks again and again for a server that is not up
    yet would at last be given the server's own port, and talk to itself.
    """
    for _ in range(1_000):
        first = _chance.randrange(_FIRST, _outgoing() - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError(f"no {count} neighbouring ports are free")


def _outgoing() -> int:
    """The lowest port of outgoing connections."""
    return int(_RANGE.read_text("ascii").split()[0]) if _RANGE.exists() else 32_768


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
