"""A site whose archive a forecaster can learn from: one gateway, two channels, days of readings in anchored batches."""

import math
from pathlib import Path

from anchoring.batches import Head, batched_frames, roll, super_root
from ingest.archive import Archive
from lading import topics
from lading.batch import AnchorRecord
from lading.cose import KeySigner
from lading.frame import NO_ANCHOR, NO_LEG, make_run, seal
from lading.gateways import GatewayEntry, save_gateways
from lading.log import SqliteLog
from lading.quantities import FAULT, Quantity
from lading.totals import EMPTY, Reading
from lading.tree import ZERO_HASH

TENANT = "demo"
BEGIN_MS = 1_772_409_600_000
STEP_MS = 300_000
SIGNER = KeySigner.from_seed(b"forecast")
FRAME_READINGS = 144


def temperature(number: int) -> int:
    """Thousandths: a day's swing, a compressor's cycle, and a hot hour each day at noon."""
    hours = number * STEP_MS / 3_600_000
    hot = 4_000 if 12 <= hours % 24 < 13.5 else 0
    return round(4_000 + 800 * math.sin(2 * math.pi * hours / 24) + 300 * math.sin(number) + hot)


class Site:
    """Settings, log and archive in a folder; readings are five minutes apart."""

    def __init__(self, folder: Path, days: int = 4) -> None:
        self.config = folder / "lading.toml"
        self.archive = folder / "data" / "archive"
        (folder / "data").mkdir(parents=True)
        self.config.write_text(f'[lading]\ntenant = "{TENANT}"\ndata = "data"\n')
        save_gateways(
            folder / "data" / "gateways.json", [GatewayEntry(SIGNER.public, TENANT, 0, None, "hall")]
        )
        self.log = SqliteLog(folder / "data" / "log.sqlite")
        self._write(days * 86_400_000 // STEP_MS)
        self._anchor()
        writer = Archive(self.log, self.archive, lambda gateway: TENANT)
        while writer.step():
            pass
        self.log.close()

    def _write(self, readings: int) -> None:
        previous = ZERO_HASH
        for seq, at in enumerate(range(0, readings, FRAME_READINGS)):
            runs = [
                make_run(
                    channel,
                    Quantity.TEMPERATURE,
                    at,
                    bytes([channel]) * 16,
                    self._readings(channel, at),
                    EMPTY,
                )
                for channel in (1, 2)
            ]
            sent_ms = BEGIN_MS + (at + FRAME_READINGS) * STEP_MS
            frame = seal(SIGNER, NO_LEG, seq, previous, sent_ms, NO_ANCHOR, runs)
            previous = frame.header.hash
            self.log.append(topics.FRAMES, [(SIGNER.public.gateway_id, frame.encode())])

    def _readings(self, channel: int, at: int) -> list[Reading]:
        return [
            Reading(
                n,
                BEGIN_MS + n * STEP_MS,
                327_670 if n % 97 == 0 else temperature(n) + 500 * channel,
                FAULT if n % 97 == 0 else 0,
            )
            for n in range(at, at + FRAME_READINGS)
        ]

    def _anchor(self) -> None:
        """Batches of three frames, each finalized."""
        head, records = Head(), self.log.read(topics.FRAMES, {}, 1_000)
        for interval, at in enumerate(range(0, len(records), 3), 1):
            part = records[at : at + 3]
            frames = batched_frames([(TENANT, record.value) for record in part])
            (batch,) = roll(interval, ((0, at, at + len(part) - 1),), frames, {TENANT: head})
            head = Head(batch.leaf.batch_seq, batch.leaf.hash)
            anchor = AnchorRecord(
                interval, super_root([batch]), 1, 1, bytes(range(20)), bytes([interval]) * 32, interval,
                bytes([interval]) * 32, BEGIN_MS, 50_000, "finalized",
            )  # fmt: skip
            self.log.append(topics.BATCHES, [(batch.leaf.tenant, batch.encode())])
            self.log.append(topics.ANCHORS, [(interval.to_bytes(8, "big"), anchor.encode())])
