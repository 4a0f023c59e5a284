"""Promise: orders that several people give at once have numbers of their own."""

import json
import subprocess
import sys
from pathlib import Path

from ingest.broker import Broker
from lading.assignment import read_assignment
from tests.services.mqtt_client import Client
from tests.waiting import until

AT_ONCE = 6


def test_orders_given_at_once_never_share_a_number(tmp_path: Path) -> None:
    """Six `lading leg begin` of one gateway at once: six orders, numbered 1 to 6. A taken lock is waited for."""
    broker = Broker()
    broker.start()
    lading = [sys.executable, "-m", "lading.cli"]
    ports = ["--mqtt-port", str(broker.port), "--metrics-port", "0"]
    subprocess.run([*lading, "init", *ports], cwd=tmp_path, check=True, capture_output=True)
    listener = Client(broker.port, "listener", "lading/v1/+/+/assignment")
    try:
        begins = [
            subprocess.Popen(
                [*lading, "leg", "begin", f"PO {n}", "truck-1"], cwd=tmp_path, stdout=-1, stderr=-1
            )
            for n in range(AT_ONCE)
        ]
        for begin in begins:
            _, errors = begin.communicate(timeout=120)
            assert begin.returncode == 0, errors
        until(lambda: len(listener.payloads) == AT_ONCE)
        orders = [read_assignment(payload) for payload in listener.payloads]
        assert sorted(order.order_seq for order in orders) == list(range(1, AT_ONCE + 1))
        assert {order.reference for order in orders} == {f"PO {n}" for n in range(AT_ONCE)}
        issued = json.loads((tmp_path / "lading-data" / "orders.json").read_text())
        assert list(issued.values()) == [AT_ONCE]
    finally:
        listener.close()
        broker.stop()
