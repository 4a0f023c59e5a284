"""Metrics a second that one gateway takes from a Sparkplug edge node over a real Mosquitto, durable, without a loss.

`python -m benchmarks.sparkplug [--quick] [--json]`. A process of its own publishes DDATA of ten metrics with QoS 0 at a
steady rate, as Google's protocol buffers encode them; the rate doubles until messages are lost or come late. The peer
receives the same and only parses it with Google's package: nothing is checked, kept or made into readings.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.measure import machine
from edge.gateway import Gateway
from edge.outbox import Outbox
from edge.sparkplug.listener import SparkplugListener
from edge.sparkplug.values import Sensor
from lading.cose import KeySigner
from lading.log import wall_ms
from lading.mqtt import Broker
from tests.services.mosquitto import Mosquitto
from tests.unit.edge.sparkplug_proto import Payload, bd_seq, message

METRICS = 10  # a message
RATES = (100, 200, 400, 800, 1_600, 3_200)  # messages a second
SECONDS, SECONDS_QUICK = 10, 2
LATE_S_MAX = 2.0
DDATA = "spBv1.0/G/DDATA/N/D"


def publish(port: int, rate: int, count: int) -> None:
    """Births, then so many messages at this rate."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    born = [
        {"name": f"m{n}", "alias": n, "type": "Float", "value": 0, "timestamp": 0} for n in range(METRICS)
    ]
    client.publish("spBv1.0/G/NBIRTH/N", message(bd_seq(0), seq=0), 0).wait_for_publish(10)
    client.publish("spBv1.0/G/DBIRTH/N/D", message(*born, seq=1), 0).wait_for_publish(10)
    begin_ms, begin_s = wall_ms() - count, time.monotonic()
    for k in range(count):
        said = [
            {"alias": n, "type": "Float", "value": 4.1 + k % 7, "timestamp": begin_ms + k, "is_born": False}
            for n in range(METRICS)
        ]
        data = message(*said, seq=(k + 2) % 256)
        time.sleep(max(0.0, begin_s + k / rate - time.monotonic()))
        client.publish(DDATA, data, 0)
    time.sleep(1)
    client.disconnect()
    client.loop_stop()


def sent(port: int, rate: int, count: int, step: Callable[[], int]) -> dict[str, float]:
    """What came of that many messages: received, seconds from the first publishing to the last receiving, cpu."""
    run = [sys.executable, "-m", "benchmarks.sparkplug", "--publish", str(port), str(rate), str(count)]
    process, received, first_s, last_s, cpu_s = subprocess.Popen(run), 0, 0.0, 0.0, time.process_time()
    while process.poll() is None or time.monotonic() - last_s < LATE_S_MAX:
        if found := step():
            first_s, last_s = first_s or time.monotonic(), time.monotonic()
            received += found
        else:
            time.sleep(0.002)
    cpu_s = time.process_time() - cpu_s
    return {
        "rate": rate * METRICS,
        "received": received,
        "wanted": METRICS * count,
        "s": last_s - first_s,
        "cpu_s": cpu_s,
    }


def ours(port: int, rate: int, count: int) -> dict[str, float]:
    """A gateway with its outbox on disk."""
    with tempfile.TemporaryDirectory() as folder:
        signer, operator = KeySigner.from_seed(b"gateway"), KeySigner.from_seed(b"operator")
        channels = dict.fromkeys(range(METRICS), 1)  # temperatures
        outbox = Outbox(Path(folder) / "outbox.sqlite", signer.public.gateway_id)
        gateway = Gateway(outbox, signer, operator.public, "demo", channels)
        sensors = [Sensor(f"G/N/D/m{n}", "Cel", n) for n in channels]
        listener = SparkplugListener(
            gateway,
            Broker("127.0.0.1", port),
            "bench",
            sensors,
            _complain,
            0,
            reorder_ms=2_000,
            history_ms=0,
            may_ask=False,
        )
        listener.start()
        time.sleep(0.5)
        found = sent(port, rate, count, lambda: listener.step(wall_ms(), wall_ms()))
        listener.stop()
        found["received"] = sum(gateway.taken.values()) - METRICS  # those of the birth
        outbox.close()
        return found


def theirs(port: int, rate: int, count: int) -> dict[str, float]:
    """Receive and parse."""
    came: list[bytes] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, one: came.append(one.payload)
    client.connect("127.0.0.1", port)
    client.subscribe(DDATA, 1)
    client.loop_start()
    time.sleep(0.5)

    def step() -> int:
        taken, came[:] = came[:], came[len(came) :]
        return sum(len(Payload.FromString(data).metrics) for data in taken)

    found = sent(port, rate, count, step)
    client.disconnect()
    client.loop_stop()
    return found


def _complain(event: str, error: Any) -> None:
    print(event, error, file=sys.stderr)


def main() -> None:
    """Rates up to the first that is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparkplug", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--publish", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        publish(*options.publish)
        return
    results: dict[str, list[dict[str, float]]] = {"lading": [], "receive and parse": []}
    seconds = SECONDS_QUICK if options.quick else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder)).start()
        for rate in RATES:
            for name, run in (("lading", ours), ("receive and parse", theirs)):
                found = run(broker.port, rate, rate * seconds)
                results[name].append(found)
                if not options.json:
                    print(f"{name:18} {line(found)}", flush=True)
            last = results["lading"][-1]
            if last["received"] < last["wanted"] or last["s"] > seconds + LATE_S_MAX:
                break
        broker.stop()
    if options.json:
        print(json.dumps({"machine": machine(), "quick": options.quick, "results": results}, indent=2))
    else:
        print(", ".join(f"{name} {value}" for name, value in machine().items()))


def line(found: dict[str, float]) -> str:
    """One run as text."""
    per_cpu = found["received"] / found["cpu_s"]
    return (
        f"{found['rate']:6.0f} metrics/s offered: {found['received']:.0f} of {found['wanted']:.0f} came in "
        f"{found['s']:.1f} s, {found['cpu_s']:.1f} s of cpu, {per_cpu:.0f} a cpu second"
    )


if __name__ == "__main__":
    main()
