"""Readings written to a real InfluxDB: our writer, and influxdb-client's own ways, taking turns at one server.

`python -m benchmarks.influx [--quick] [--json]`. It starts the influxd that tests/services/real/install.sh keeps. Every
way writes the same readings, each round into a bucket of its own, and a round ends when InfluxDB has counted them.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.write_api import SYNCHRONOUS

from benchmarks.__main__ import show
from benchmarks.data import TENANT, make_chain
from benchmarks.measure import Result, Work, compare, machine
from dashboards.timeseries.names import Names
from dashboards.timeseries.readings import Points
from dashboards.timeseries.sink import Sink
from dashboards.timeseries.stage import Series
from dashboards.timeseries.state import SeriesState
from lading import topics
from lading.frame import Frame
from lading.gateways import GatewayEntry, GatewayFile, save_gateways
from lading.log import Record, SqliteLog, wall_ms
from tests.services.influxd import Influxd, influxd

GATEWAYS, READINGS = 50, 100
FRAMES, FRAMES_QUICK = 20, 4
BATCH = 5_000


class Rig:
    """A server, the frames in a log, and a bucket a run."""

    def __init__(self, server: Influxd, folder: Path, frames_a_gateway: int) -> None:
        self.server, self.folder = server, folder
        chains = [make_chain(number, frames_a_gateway, READINGS) for number in range(GATEWAYS)]
        entries = [
            GatewayEntry(one.signer.public, TENANT, name=f"truck-{at}") for at, one in enumerate(chains)
        ]
        save_gateways(folder / "gateways.json", entries)
        self.gateways = GatewayFile(folder / "gateways.json")
        self.frames = [frame for turn in zip(*(one.frames for one in chains), strict=True) for frame in turn]
        self.values = [frame.encode() for frame in self.frames]
        self.log = SqliteLog(folder / "log.sqlite")
        self.log.append(topics.FRAMES, [(f.header.gateway_id, f.encode()) for f in self.frames])
        self.token_file = folder / "token"
        self.token_file.write_text(server.token, "utf-8")
        self.points = len(self.frames) * READINGS
        self.server_s: dict[str, list[float]] = {}
        self._org_id = server.request("GET", "/api/v2/orgs")["orgs"][0]["id"]
        self._numbers = itertools.count()

    def bucket(self) -> tuple[str]:
        """A new, empty bucket."""
        name = f"run-{next(self._numbers)}"
        self.server.request(
            "POST", "/api/v2/buckets", {"orgID": self._org_id, "name": name, "retentionRules": []}
        )
        return (name,)

    def measured(self, way: str, write: Callable[[str], None]) -> Work:
        """A way of writing, checked; what it costs InfluxDB is added up under its name."""

        def run(bucket: str) -> None:
            begin_s = self.server.cpu_s()
            write(bucket)
            self.server_s.setdefault(way, []).append(self.server.cpu_s() - begin_s)
            self.require(bucket)

        return Work(run, self.points, self.bucket)

    def require(self, bucket: str) -> None:
        """InfluxDB has every reading."""
        self.server.bucket = bucket
        found = self.server.count("reading", "value")
        assert found == self.points, f"{found} of {self.points} readings"

    def client(self, token: str) -> InfluxDBClient:
        return InfluxDBClient(url=self.server.url, token=token, org=self.server.org, timeout=60_000)


def ours(rig: Rig) -> Callable[[str], None]:
    """The stage as it runs: log, state file, kernel, positions; what else a frame gives (`gateway`) comes on top."""

    def run(bucket: str) -> None:
        state = SeriesState(rig.folder / f"{bucket}.sqlite")
        sink = Sink(rig.server.url, rig.server.org, bucket, rig.token_file)
        rig.log.commit("series", topics.FRAMES, {0: 0})
        series = Series(rig.log, state, sink, rig.gateways, {})
        while series.step():
            pass
        sink.close()
        state.close()

    return run


def tags_of(rig: Rig, frame: Frame) -> dict[str, str]:
    entry = rig.gateways.find(frame.header.gateway_id)
    assert entry is not None
    return {"tenant": entry.tenant, "gateway": entry.name, "leg": frame.header.leg_id.hex()[:16]}


def line_strings(rig: Rig) -> Iterator[str]:
    """The same lines by string formatting, from readings already decoded."""
    for frame in rig.frames:
        tags = tags_of(rig, frame)
        for run in frame.runs:
            head = (
                f"reading,tenant={tags['tenant']},gateway={tags['gateway']},leg={tags['leg']},"
                f"channel={run.record.channel},quantity=temperature"
            )
            for reading in run.readings:
                yield f"{head} value={reading.value / 1000} {reading.time_ms}"


def line_points(rig: Rig) -> Iterator[Point]:
    """The same as influxdb-client's Point objects."""
    for frame in rig.frames:
        tags = tags_of(rig, frame)
        for run in frame.runs:
            for reading in run.readings:
                point = (
                    Point("reading").tag("channel", str(run.record.channel)).tag("quantity", "temperature")
                )
                for name, value in tags.items():
                    point.tag(name, value)
                yield point.field("value", reading.value / 1000).time(reading.time_ms, "ms")


def batching(rig: Rig, make: Callable[[Rig], Iterator[Any]]) -> Callable[[str], None]:
    """influxdb-client's batching API."""

    def run(bucket: str) -> None:
        errors: list[object] = []
        with rig.client(rig.server.token) as client:
            api = client.write_api(
                write_options=WriteOptions(batch_size=BATCH, flush_interval=1_000),
                error_callback=lambda *found: errors.append(found),
            )
            for record in make(rig):
                api.write(bucket, record=record, write_precision="ms")
            api.close()
        assert not errors, errors[:1]

    return run


def synchronous(rig: Rig) -> Callable[[str], None]:
    """influxdb-client's synchronous API with strings of 5,000 lines, on one thread."""

    def run(bucket: str) -> None:
        with rig.client(rig.server.token) as client:
            api = client.write_api(write_options=SYNCHRONOUS)
            lines = line_strings(rig)
            while some := list(itertools.islice(lines, BATCH)):
                api.write(bucket, record="\n".join(some), write_precision="ms")

    return run


def formatting(rig: Rig) -> Result:
    """Frames' bytes to lines, without InfluxDB."""
    records = [Record(0, at, b"", value, wall_ms()) for at, value in enumerate(rig.values)]
    points = Points(Names(rig.gateways, {}, lambda leg: None))

    def kernel() -> None:
        assert (
            sum(chunk.points for chunk in points.of_frames(records) if chunk.precision == "ms") == rig.points
        )

    def strings() -> None:
        assert sum(1 for _ in line_strings(rig)) == rig.points

    def objects() -> None:
        assert sum(1 for point in line_points(rig) if point.to_line_protocol()) == rig.points

    works = {
        "frames to lines": Work(kernel, rig.points),
        "f-strings (readings decoded)": Work(strings, rig.points),
        "Point objects (readings decoded)": Work(objects, rig.points),
    }
    return compare("line protocol", "points/s", f"{len(rig.frames)} frames of {READINGS}", works, quick=True)


def writing(rig: Rig) -> Result:
    """Frames in the log to readings counted in InfluxDB."""
    ways = {
        "lading dashboards": ours(rig),
        "synchronous, strings": synchronous(rig),
        "batching, strings": batching(rig, line_strings),
        "batching, Point objects": batching(rig, line_points),
    }
    works = {name: rig.measured(name, write) for name, write in ways.items()}
    data = f"{len(rig.frames)} frames of {READINGS} readings"
    result = compare("written to InfluxDB", "points/s", data, works, quick=True)
    server_us = {
        f"influxd, µs of cpu a point: {name}": statistics.median(found[1:]) / rig.points * 1e6
        for name, found in rig.server_s.items()
    }
    return replace(result, notes=server_us)


def main() -> None:
    """Run both, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.influx", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="fewer frames")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(influxd(folder / "influxd"))
        rig = Rig(server, folder, FRAMES_QUICK if options.quick else FRAMES)
        results = [formatting(rig), writing(rig)]
    if options.json:
        json.dump({"machine": machine(), "results": [asdict(one) for one in results]}, sys.stdout, indent=2)
        return
    for one in results:
        show(one)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
