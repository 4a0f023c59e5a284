"""Gateways that sign and publish, as a process of their own: `python -m benchmarks.services.load …`.

A frame holds READINGS readings of one temperature channel, a minute apart. Every `alert_every`-th frame has forty
minutes above the limit, where thirty are allowed: a breach that was not there before, so a verdict must follow.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.data import BEGIN_MS, OPERATOR, SALT, STEP_MS, TENANT
from lading.assignment import BEGIN, Assignment, sign_assignment
from lading.cose import KeySigner
from lading.frame import NO_ANCHOR, OPEN, LegRef, Reading, make_run, seal
from lading.gateways import GatewayEntry
from lading.limits import ChannelLimits, Limits
from lading.names import tenant_id
from lading.topics import gateway_topic
from lading.totals import EMPTY, fold
from lading.tree import ZERO_HASH

READINGS = 100
HOT = range(40, 80)  # of a frame's readings, in a frame that alerts
IN_FLIGHT_MAX = 500
LIMITS = Limits(
    (
        ChannelLimits(
            1,
            1,
            lower=2000,
            upper=8000,
            hold_ms=600_000,
            above_stretch_max_ms=30 * STEP_MS,
            gap_max_ms=3_600_000,
        ),
    )
)


class Gateway:
    """Signs one frame after another."""

    def __init__(self, number: int, alert_every: int) -> None:
        self.signer = KeySigner.from_seed(b"services benchmark %d" % number)
        self.id = self.signer.public.gateway_id
        self.topic = gateway_topic(TENANT, self.id, "frames")
        self.order = Assignment(
            BEGIN, tenant_id(TENANT), self.id, 1, SALT, f"leg {number}", BEGIN_MS, BEGIN_MS, 0, LIMITS
        )
        self.entry = GatewayEntry(self.signer.public, TENANT, name=f"truck-{number}")
        self._alert_every = alert_every
        self._random = random.Random(number)
        self._leg = LegRef(OPEN, self.order.leg_id, LIMITS.hash)
        self._totals, self._previous, self.frame_seq = EMPTY, ZERO_HASH, 0

    def is_alert(self, frame_seq: int) -> bool:
        """Whether a frame brings a new breach."""
        return frame_seq % self._alert_every == self._alert_every - 1

    def next(self) -> bytes:
        """The next frame's bytes."""
        first, is_hot = self.frame_seq * READINGS, self.is_alert(self.frame_seq)
        taken = [
            Reading(
                first + n,
                BEGIN_MS + (first + n) * STEP_MS,
                self._random.randint(4_000, 6_000) + (4_500 if is_hot and n in HOT else 0),
            )
            for n in range(READINGS)
        ]
        self._totals = fold(self._totals, LIMITS.channels[0], taken)
        run = make_run(1, 1, first, self._random.randbytes(16), taken, self._totals)
        frame = seal(
            self.signer, self._leg, self.frame_seq, self._previous, taken[-1].time_ms, NO_ANCHOR, [run]
        )
        self._previous, self.frame_seq = frame.header.hash, self.frame_seq + 1
        return frame.encode()


def make_gateways(count: int, alert_every: int, first: int = 0) -> list[Gateway]:
    """The fleet; the same numbers give the same keys."""
    return [Gateway(number, alert_every) for number in range(first, first + count)]


def connect(port: int, name: str) -> paho.Client:
    """A client whose queue is as long as what is in flight."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311)
    client.max_inflight_messages_set(IN_FLIGHT_MAX)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def orders(port: int, fleet: list[Gateway]) -> None:
    """Publish the operator's orders, retained."""
    client = connect(port, "operator")
    for gateway in fleet:
        message = sign_assignment(gateway.order, OPERATOR)
        client.publish(
            gateway_topic(TENANT, gateway.id, "assignment"), message, 1, retain=True
        ).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def publish(port: int, frames: Iterator[tuple[str, bytes, str]], rate: float) -> list[tuple[str, int]]:
    """Publish (topic, bytes, name) at so many a second, or without a pause (0); when each was given to the client."""
    client = connect(port, "load")
    sent: list[tuple[str, int]] = []
    last = None
    begin_s = time.monotonic()
    for count, (topic, data, name) in enumerate(frames):
        if rate:
            while (early_s := begin_s + count / rate - time.monotonic()) > 0:
                time.sleep(early_s)
        sent.append((name, time.time_ns() // 1_000_000))
        last = client.publish(topic, data, 1)
        while client._out_messages and len(client._out_messages) > 2 * IN_FLIGHT_MAX:
            time.sleep(0.001)
    if last is not None:
        last.wait_for_publish(120)
    client.disconnect()
    client.loop_stop()
    return sent


def _in_turns(fleet: list[Gateway]) -> Iterator[tuple[str, bytes, str]]:
    while True:
        for gateway in fleet:
            name = f"{gateway.id.hex()}/{gateway.frame_seq}"
            yield gateway.topic, gateway.next(), name


def main() -> None:
    """Publish so many frames, and write what was sent when to a file. Signed ahead, they wait for a file to go."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gateways", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--alert-every", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0, help="frames/s; 0: without a pause")
    parser.add_argument("--as-it-goes", action="store_true", help="sign each frame when it is due")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    fleet = make_gateways(options.gateways, options.alert_every, options.first)
    source = islice(_in_turns(fleet), options.frames)
    if not options.as_it_goes:
        source = iter(list(source))
        options.out.with_suffix(".ready").touch()
        while not options.out.with_suffix(".go").exists():
            time.sleep(0.01)
    sent = publish(options.port, source, options.rate)
    options.out.write_text(json.dumps(sent))


if __name__ == "__main__":
    main()
