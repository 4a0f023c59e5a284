"""What third-party sensors say, heard without taking any of it: for whoever writes the settings of a site."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from edge import senml
from edge.sparkplug.host import Asking, SensorName, parse_topic
from edge.sparkplug.node import BD_SEQ, Node, Said
from edge.sparkplug.payload import decode
from edge.sparkplug.values import Sensor, datatype_name, is_number, number, reading
from edge.units import UNITS
from lading.errors import LadingError

SEEN_MAX = 2_048
NODES_MAX, DEVICES_MAX = 256, 256  # devices of each node
REORDER_MS = 2_000
CHANNELS_MAX = 65_536
CONTROLS = (BD_SEQ, "Node Control/", "Device Control/")  # metrics of the protocol itself


@dataclass
class Seen:
    """A sensor that spoke. `channel` is what it would get; `problem` why it would give no reading."""

    name: str
    kind: str
    unit: str | None
    is_reading: bool
    channel: int | None
    value: str = ""
    time_ms: int | None = None
    count: int = 0
    problem: str = ""


class Ear(Protocol):
    """Listens to one kind of sensors."""

    found: "Found"

    @property
    def waiting(self) -> list[str]:
        """Edge nodes, as GROUP/NODE, that spoke and whose births are not known."""

    def take(self, topic: str, payload: bytes, is_retained: bool, now_ms: int) -> None:
        """Hear one message."""

    def unborn(self, now_ms: int) -> list[tuple[str, str]]:
        """Edge nodes (group, node) to ask for their births now."""


class Found:
    """What was heard, within bounds: sensors by name, refusals by code, nodes whose births are not known."""

    def __init__(self) -> None:
        self.sensors: dict[tuple[str, str], Seen] = {}
        self.problems: Counter[str] = Counter()
        self.left_out = 0

    def see(self, seen: Seen, value: str, time_ms: int | None, problem: str) -> None:
        """Note what a sensor said last."""
        key = (seen.name, seen.kind)
        if key not in self.sensors and len(self.sensors) >= SEEN_MAX:
            self.left_out += 1
            return
        known = self.sensors.setdefault(key, seen)
        known.value, known.time_ms, known.problem = value, time_ms, problem
        known.count += 1

    def refuse(self, error: LadingError) -> None:
        """Count a message or metric that does not count."""
        self.problems[error.code] += 1


class SparkplugEar:
    """Every edge node of every group, as far as it was born while we listen."""

    def __init__(self, sensors: Iterable[Sensor]) -> None:
        self.found = Found()
        self._sensors = {SensorName.parse(sensor.name): sensor for sensor in sensors}
        self._nodes: dict[tuple[str, str], Node] = {}
        self._asking: dict[tuple[str, str], Asking] = {}
        self._spoke: set[tuple[str, str]] = set()
        for name in self._sensors:
            self._add((name.group, name.node))

    @property
    def waiting(self) -> list[str]:
        """See Ear."""
        return [
            f"{group}/{node}" for group, node in sorted(self._spoke) if not self._nodes[group, node].is_born
        ]

    def take(self, topic: str, payload: bytes, is_retained: bool, now_ms: int) -> None:
        """See Ear. A retained birth says nothing of now."""
        where = parse_topic(topic)
        if where is None:
            return
        key = (where.group, where.node)
        node = self._nodes.get(key) or self._add(key)
        if node is None or is_retained:
            self.found.left_out += node is None
            return
        self._spoke.add(key)
        try:
            heard = node.take(where.kind, where.device, decode(payload), now_ms)
        except LadingError as exc:
            self.found.refuse(exc)
            return
        for problem in heard.problems:
            self.found.refuse(problem)
        for said in heard.said:
            self._see(SensorName(*key, where.device, said.known.name), said)

    def unborn(self, now_ms: int) -> list[tuple[str, str]]:
        """See Ear."""
        return [
            key for key, node in self._nodes.items() if not node.is_born and self._asking[key].may_ask(now_ms)
        ]

    def _add(self, key: tuple[str, str]) -> Node | None:
        if key in self._nodes or len(self._nodes) >= NODES_MAX:
            return self._nodes.get(key)
        devices: set[str] = set()

        def find(device: str, metric: str) -> Sensor | None:
            return self._sensors.get(SensorName(*key, device, metric))

        def has(device: str) -> bool:
            if len(devices) < DEVICES_MAX:
                devices.add(device)
            return device in devices

        self._asking[key] = Asking()
        self._nodes[key] = node = Node(find, has, REORDER_MS)
        return node

    def _see(self, name: SensorName, said: Said) -> None:
        known, metric = said.known, said.metric
        if name.metric.startswith(CONTROLS):
            return
        full = "/".join(name)
        sensor = known.sensor or Sensor(full, "Cel", 0)
        unit = "open" if known.datatype == 11 else metric.unit if metric.unit in UNITS else None
        seen = Seen(
            full,
            datatype_name(known.datatype),
            known.sensor.unit if known.sensor else unit,
            is_number(known.datatype),
            known.sensor.channel if known.sensor else None,
        )
        value = problem = ""
        try:
            value = "null" if metric.is_null else _plain(number(sensor, metric, known.datatype))
            if known.sensor is not None:
                reading(sensor, metric, known.datatype, said.time_ms or 0)
        except LadingError as exc:
            problem = exc.code
        self.found.see(seen, value, said.time_ms, problem)


class SenmlEar:
    """Whatever comes on the gateway's own topic."""

    def __init__(self, sensors: Mapping[tuple[str, int], int]) -> None:
        self.found = Found()
        self._sensors = sensors

    @property
    def waiting(self) -> list[str]:
        """See Ear. SenML has no births."""
        return []

    def take(self, topic: str, payload: bytes, is_retained: bool, now_ms: int) -> None:
        """See Ear."""
        try:
            records = senml.decode(payload, now_ms)
        except LadingError as exc:
            self.found.refuse(exc)
            return
        for record in records:
            self._see(record)

    def unborn(self, now_ms: int) -> list[tuple[str, str]]:
        """See Ear. SenML has no births."""
        return []

    def _see(self, record: senml.Record) -> None:
        unit = "open" if isinstance(record.value, bool) else record.unit
        is_reading = record.value is not None and unit in UNITS
        channel = self._sensors.get((record.name, int(UNITS[unit].quantity))) if is_reading else None
        value = _plain(record.value) if record.value is not None else ""
        seen = Seen(record.name, unit or "no unit", unit if is_reading else None, is_reading, channel)
        self.found.see(
            seen, value, record.time_ms, "" if is_reading else "senml_unit" if value else "senml_value"
        )


def toml_lines(found: Found, taken: Iterable[int]) -> list[str]:
    """Settings for the sensors that no channel is said for yet, with the lowest channels that are free."""
    free = iter(sorted(set(range(1, CHANNELS_MAX)) - set(taken)))
    lines: list[str] = []
    for seen in found.sensors.values():
        if not seen.is_reading or seen.channel is not None or not seen.name.isprintable():
            continue
        unit = json.dumps(seen.unit or "?", ensure_ascii=False)
        lines += [
            "[[edge.gateways.sensor]]",
            f"name = {json.dumps(seen.name, ensure_ascii=False)}",
            f"unit = {unit}" + ("" if seen.unit else f"  # one of {' '.join(UNITS)}"),
            f"channel = {next(free)}",
            "",
        ]
    return lines


def visible(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _plain(value: Decimal | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
