"""One gateway of a demo: its key, its outbox, its link."""

import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from edge.gateway import Gateway
from edge.outbox import Outbox
from edge.publisher import Publisher
from edge.readings import NewReading
from lading.cose import KeySigner, PublicKey
from lading.errors import LadingError, ServiceError
from lading.frame import SALT_BYTES
from lading.mqtt import Broker

OUTBOX = "outbox.sqlite"
PUBLISH_LIMIT_S = 60.0


class Member:
    """A gateway over its folder. `device` tells a clone from the original: same key, other salts."""

    def __init__(
        self,
        name: str,
        seed: bytes,
        folder: Path,
        tenant: str,
        operator: PublicKey,
        broker: Broker,
        channels: Mapping[int, int],
        device: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.is_linked = False
        self._made_with = (name, seed, tenant, operator, broker, channels)
        self._folder = folder
        self._salts = random.Random(seed + name.encode() + device.encode())
        self.signer = KeySigner.from_seed(seed + name.encode())
        self.outbox = Outbox(folder / OUTBOX, self.signer.public.gateway_id)
        self.gateway = Gateway(
            self.outbox,
            self.signer,
            operator,
            tenant,
            channels,
            salts=lambda _: self._salts.randbytes(SALT_BYTES),
        )
        self.publisher = Publisher(self.gateway, tenant, broker, keep_until="puback")

    @property
    def gateway_id(self) -> bytes:
        """Hash of the gateway's key."""
        return self.signer.public.gateway_id

    def take(
        self, readings: list[NewReading], cut_ms: int | None = None
    ) -> list[tuple[NewReading, LadingError]]:
        """Keep readings, and sign a frame of them at `cut_ms`, in one transaction; those not taken, and why."""
        return [(readings[one.index], one.error) for one in self.gateway.take_all(readings, cut_ms=cut_ms)]

    def link(self, is_online: bool, now_ms: int) -> None:
        """Connect or disconnect."""
        if is_online == self.is_linked:
            return
        if is_online:
            self.publisher.start()
        else:
            self.publisher.stop(now_ms)
        self.is_linked = is_online

    def publish(self, now_ms: int) -> None:
        """Publish until the broker has everything. ServiceError `broker` when it does not take it in time."""
        if not self.publisher.wait_acked(PUBLISH_LIMIT_S, now_ms):
            raise ServiceError("broker", f"{self.name}: no PUBACK within {PUBLISH_LIMIT_S:.0f} s")

    def clone(self, folder: Path) -> "Member":
        """A second device with the same key and the same memory: what a thief of the disk has."""
        folder.mkdir(parents=True)
        with (
            closing(sqlite3.connect(self._folder / OUTBOX)) as source,
            closing(sqlite3.connect(folder / OUTBOX)) as target,
        ):
            source.backup(target)
        name, seed, tenant, operator, broker, channels = self._made_with
        return Member(name, seed, folder, tenant, operator, broker, channels, device="clone")

    def close(self) -> None:
        """Leave the broker, close the outbox."""
        if self.is_linked:
            self.publisher.stop()
        self.outbox.close()
