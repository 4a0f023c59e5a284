"""Ports of this machine."""

import socket


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nothing listens on now."""
    for _ in range(100):
        first = free_port()
        if first + count <= 65_535 and all(_is_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError(f"no {count} neighbouring ports are free")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
