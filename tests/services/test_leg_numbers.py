"""Promises: orders that several people give at once have numbers of their own, and an order is given once the log has
it; what gateways say of themselves is shown wherever they are."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.broker import Broker
from lading.assignment import read_assignment
from lading.opening import open_gateways, open_log
from lading.settings import load_shared
from lading.topics import ASSIGNMENTS, gateway_topic
from tests.services.mqtt_client import Client
from tests.waiting import until

AT_ONCE = 6


LADING = [sys.executable, "-m", "lading.cli"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """An installation's broker, with the installation in `tmp_path` and nothing else running."""
    one = Broker()
    one.start()
    ports = ["--mqtt-port", str(one.port), "--metrics-port", "0"]
    subprocess.run([*LADING, "init", *ports], cwd=tmp_path, check=True, capture_output=True)
    yield one
    one.stop()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Client]:
    """Hears every order."""
    client = Client(broker.port, "listener", "lading/v1/+/+/assignment")
    yield client
    client.close()


def begin(folder: Path, reference: str, wait_s: float, *more: str) -> "subprocess.Popen[bytes]":
    command = [*LADING, "leg", "begin", reference, "truck-1", "--wait-s", str(wait_s), *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_orders_given_at_once_never_share_a_number(tmp_path: Path, listener: Client) -> None:
    """Six `lading leg begin` of one gateway at once: six orders, numbered 1 to 6. A taken lock is waited for."""
    for one in [begin(tmp_path, f"PO {n}", 0) for n in range(AT_ONCE)]:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors
    until(lambda: len(listener.payloads) == AT_ONCE)
    orders = [read_assignment(payload) for payload in listener.payloads]
    assert sorted(order.order_seq for order in orders) == list(range(1, AT_ONCE + 1))
    assert {order.reference for order in orders} == {f"PO {n}" for n in range(AT_ONCE)}
    issued = json.loads((tmp_path / "lading-data" / "orders.json").read_text())
    assert list(issued.values()) == [AT_ONCE]


def test_an_order_is_published_until_the_log_has_it(tmp_path: Path, listener: Client) -> None:
    """Nobody takes it from the broker: the same bytes come again. Once they are in the log the command is through."""
    giving = begin(tmp_path, "PO 1", 120)
    until(lambda: len(listener.payloads) >= 2)
    assert len(set(listener.payloads)) == 1
    assert giving.poll() is None
    order = read_assignment(listener.payloads[0])
    with closing(open_log(load_shared(tmp_path / "lading.toml"))) as log:
        log.append(ASSIGNMENTS, [(order.gateway, listener.payloads[0])])
    printed, errors = giving.communicate(timeout=120)
    assert (giving.returncode, printed.decode().strip()) == (0, order.leg_id.hex()), errors


def test_an_order_that_nobody_takes_is_an_error(tmp_path: Path, listener: Client) -> None:
    """The leg's id is printed all the same: the order may come through later. It may be of a leg that begins later."""
    giving = begin(tmp_path, "PO 1", 1, "--begin", "2030-01-01T00:00:00", "--due", "2030-01-02")
    printed, errors = giving.communicate(timeout=120)
    assert giving.returncode == 2
    assert b"order_waiting" in errors
    order = read_assignment(listener.payloads[0])
    assert printed.decode().strip() == order.leg_id.hex()
    assert (order.begin_ms, order.due_ms) == (1_893_456_000_000, 1_893_542_400_000)


def test_what_a_gateway_said_last_is_shown(tmp_path: Path, broker: Broker) -> None:
    """Its outbox, with the gateway on another machine; what is no status, or not of a known gateway, is passed over."""
    shared = load_shared(tmp_path / "lading.toml")
    truck, other, _ = open_gateways(shared).all()
    said = {"state": "online", "frames_waiting": 41, "outbox_full": True, "readings_refused": -1}
    client = Client(broker.port, "gateways")
    for tenant, gateway, payload in (
        (truck.tenant, truck.public.gateway_id, json.dumps(said).encode()),
        (other.tenant, other.public.gateway_id, b"no status"),
        (truck.tenant, bytes(32), json.dumps(said).encode()),
    ):
        client.send(gateway_topic(tenant, gateway, "status"), payload, retain=True)
    client.close()
    done = subprocess.run([*LADING, "status", "--json"], cwd=tmp_path, capture_output=True, check=False)
    first, second, third = (one["said"] for one in json.loads(done.stdout)["gateways"])
    assert (first["online"], first["frames_waiting"], first["outbox_full"]) == (True, 41, True)
    assert first["readings_refused"] is None
    assert (second, third) == (None, None)
