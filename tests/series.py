"""An installation with a log and a time series, for tests: legs go into the log, points come out of InfluxDB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anchoring.batches import batched_frames, roll
from dashboards.timeseries.sink import Sink
from dashboards.timeseries.stage import Series
from dashboards.timeseries.state import SeriesState
from ingest.archive import Archive
from lading import topics
from lading.frame import Frame
from lading.gateways import GatewayEntry, GatewayFile, save_gateways
from lading.limits import ChannelLimits, Limits
from lading.log import SqliteLog
from lading.quantities import CLOCK, FAULT, Quantity
from lading.totals import Reading
from lading.verdict import Verdict, VerdictRecord
from tests.legs import GATEWAY, TENANT, Leg, make_leg, make_order
from tests.services.influxd import Influxd

T0_MS = 1_790_000_000_000
CHANNELS = {"truck-1": {1: "air", 4: "door"}}
LIMITS = Limits(
    (
        ChannelLimits(
            1,
            Quantity.TEMPERATURE,
            lower=2_000,
            upper=8_000,
            hold_ms=120_000,
            above_stretch_max_ms=60_000,
            above_total_max_ms=240_000,
            gap_max_ms=600_000,
        ),
        ChannelLimits(
            4, Quantity.DOOR, upper=500, hold_ms=120_000, peak_upper=500, above_stretch_max_ms=60_000
        ),
        ChannelLimits(7, Quantity.LATITUDE),
        ChannelLimits(8, Quantity.LONGITUDE),
    )
)


def a_leg(readings: int = 60, *, reference: str = "leg 1, cold", frames: int = 4, closed: bool = True) -> Leg:
    """A minute between readings: some too warm, some of a failed sensor, some without a clock, a door that opens."""
    warm, failed, unclocked = range(10, 14), range(20, 22), range(30, 31)
    air = []
    for i in range(readings):
        flags = FAULT if i in failed else CLOCK if i in unclocked else 0
        value = -99_999 if i in failed else 8_001 + i if i in warm else 5_000 - 7 * i
        air.append(Reading(i, T0_MS + i * 60_000, value, flags))
    door = [Reading(i, T0_MS + 1 + i * 60_000, 1_000 if 15 <= i < 18 else 0) for i in range(readings)]
    north = [Reading(i, T0_MS + i * 60_000, 52_370_216 + i) for i in range(readings)]
    east = [Reading(i, T0_MS + i * 60_000 + (i % 2), -4_895_168 - i) for i in range(readings)]
    end_ms = T0_MS + readings * 60_000
    cuts = [T0_MS + n * readings // frames * 60_000 for n in range(1, frames)]
    order = make_order(LIMITS, reference=reference)
    return make_leg(order, {1: air, 4: door, 7: north, 8: east}, cuts, end_ms, closed=closed)


class Installation:
    """A data folder with log and gateways, and a writer over them."""

    def __init__(self, folder: Path, server: Influxd) -> None:
        self.folder = folder
        self.server = server
        self.clock_ms = T0_MS + 86_400_000
        self.log = SqliteLog(folder / "log.sqlite", now_ms=lambda: self.clock_ms)
        self.token_file = folder / "influxdb-writer.token"
        self.token_file.write_text(server.token + "\n", "utf-8")
        save_gateways(folder / "gateways.json", [GatewayEntry(GATEWAY.public, TENANT, name="truck-1")])

    def open_series(self, **options: Any) -> Series:
        """The writer as a new process would open it."""
        self.state = SeriesState(self.folder / "series.sqlite")
        self.sink = self.open_sink()
        gateways = GatewayFile(self.folder / "gateways.json")
        return Series(self.log, self.state, self.sink, gateways, CHANNELS, **options)

    def open_sink(self, **options: Any) -> Sink:
        """InfluxDB with the token of the file."""
        server = self.server
        return Sink(server.url, server.org, server.bucket, self.token_file, **options)

    def add_order(self, leg: Leg) -> None:
        """The leg's order into the log."""
        self.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])

    def add_frames(self, frames: Sequence[Frame]) -> None:
        """Frames into the log, as ingest writes them."""
        items = [(frame.header.gateway_id, frame.encode()) for frame in frames]
        self.log.append(topics.FRAMES, items)

    def add_verdict(self, verdict: Verdict, supersedes: Verdict | None = None) -> None:
        """A verdict into the log."""
        record = VerdictRecord(verdict, supersedes.id if supersedes else None)
        self.log.append(topics.VERDICTS, [(verdict.leg_id, record.encode())])

    def rows(self, measurement: str, where: str = "", columns: str = "*") -> list[dict[str, Any]]:
        """Points of a measurement, absent fields left out."""
        found = self.server.rows(f'SELECT {columns} FROM "{measurement}" {where}')
        return [{name: value for name, value in row.items() if value is not None} for row in found]


def write_all(series: Series) -> int:
    """Step until there is nothing new."""
    handled = 0
    while step := series.step():
        handled += step
    return handled


def archive(place: Installation, folder: Path) -> None:
    """Everything in the log as one batch, in the log and in the archive."""
    records = place.log.read(topics.FRAMES, {}, 100_000)
    frames = batched_frames([(TENANT, record.value) for record in records])
    batches = roll(1, ((0, 0, len(records) - 1),), frames, {})
    place.log.append(topics.BATCHES, [(batch.leaf.tenant, batch.encode()) for batch in batches])
    Archive(place.log, folder, lambda _: TENANT).step()
