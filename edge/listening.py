"""`lading edge listen`: a local broker's sensors and the channels they would get. Nothing is taken, kept or signed."""

import secrets
import threading
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.hearing import Ear, Seen, SenmlEar, SparkplugEar, toml_lines, visible
from edge.link import Came, Down, Link, Up
from edge.settings import GatewaySettings
from edge.sparkplug.host import NAMESPACE
from edge.sparkplug.listener import EVENTS_MAX, PACKET_BYTES_MAX
from edge.sparkplug.payload import rebirth_command
from edge.sparkplug.values import Sensor
from edge.units import UNITS
from lading.errors import ServiceError
from lading.fields import TIME_MS_MAX
from lading.log import wall_ms
from lading.mqtt import Broker
from lading.terminal import shown_time

POLL_S = 0.1


def make_ear(one: GatewaySettings) -> Ear:
    """For the gateway's source."""
    if one.source == "sparkplug":
        return SparkplugEar([Sensor(sensor.name, sensor.unit, sensor.channel) for sensor in one.sensor])
    return SenmlEar(
        {(sensor.name, int(UNITS[sensor.unit].quantity)): sensor.channel for sensor in one.sensor}
    )


def hear(
    broker: Broker, topics: tuple[str, ...], ear: Ear, limit_s: float, stop: threading.Event, *, may_ask: bool
) -> None:
    """Hear what comes for so long, or until `stop`. ServiceError when the broker was never reached."""
    link = Link(
        broker,
        f"lading-listen-{secrets.token_hex(8)}",
        topics,
        is_clean=True,
        events_max=EVENTS_MAX,
        packet_bytes_max=PACKET_BYTES_MAX,
    )
    link.start()
    end_s, was_up, reason = time.monotonic() + limit_s, False, "no answer"
    try:
        while not stop.is_set() and time.monotonic() < end_s:
            for event in link.events():
                match event:
                    case Came(topic=topic, payload=payload, retained=retained):
                        ear.take(topic, payload, retained, wall_ms())
                        link.ack(event)
                    case Up():
                        was_up = True
                    case Down(reason=reason):
                        pass
            for group, node in ear.unborn(wall_ms()) if may_ask and link.is_up else ():
                link.publish(f"{NAMESPACE}/{group}/NCMD/{node}", rebirth_command(wall_ms()), qos=0)
            link.wait(POLL_S)
    finally:
        link.stop()
    if not was_up:
        raise ServiceError("broker", f"{broker.host}:{broker.port}: {reason}")


def document(one: GatewaySettings, ear: Ear) -> dict[str, Any]:
    """Everything that was heard, for --json."""
    found = ear.found
    return {
        "gateway": one.name,
        "sensors": [asdict(seen) for seen in found.sensors.values()],
        "unborn": ear.waiting,
        "refused": dict(found.problems),
        "left_out": found.left_out,
        "silent": _silent(one, ear),
        "toml": "\n".join(toml_lines(found, [sensor.channel for sensor in one.sensor])),
    }


def show(one: GatewaySettings, ear: Ear, console: Console) -> None:
    """The same for people, with the lines to paste."""
    said = document(one, ear)
    table = Table(box=None, pad_edge=False)
    for title in ("sensor", "channel", "type", "unit", "said", "last", "at"):
        table.add_column(title, overflow="fold")
    for seen in sorted(ear.found.sensors.values(), key=lambda seen: seen.name):
        at = (
            shown_time(seen.time_ms)
            if seen.time_ms is not None and seen.time_ms <= TIME_MS_MAX
            else "no time"
        )
        cells = (seen.name, _channel(seen), seen.kind, seen.unit or "", str(seen.count), seen.value, at)
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console.print(table if ear.found.sensors else "no sensor spoke")
    for name in said["unborn"]:
        console.print(
            Text(visible(f"{name}: heard data, and no birth to say what it means; --ask asks for it"))
        )
    for name in said["silent"]:
        console.print(Text(visible(f"{name}: in the settings, and silent")))
    for code, count in said["refused"].items():
        console.print(f"refused: {code} {count}")
    if said["left_out"]:
        console.print(f"not shown: {said['left_out']} more")
    if said["toml"]:
        console.print("\nnot mapped yet; to take them, below the gateway's own table in the settings:\n")
        console.print(Text(said["toml"]), soft_wrap=True)


def _channel(seen: Seen) -> str:
    if seen.problem and seen.channel is not None:
        return f"{seen.channel}, but {seen.problem}"
    if not seen.is_reading:
        return "no reading"
    return "not mapped" if seen.channel is None else str(seen.channel)


def _silent(one: GatewaySettings, ear: Ear) -> list[str]:
    heard = {seen.name for seen in ear.found.sensors.values()}
    return [sensor.name for sensor in one.sensor if sensor.name not in heard]
