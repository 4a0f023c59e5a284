"""A log, the stage on it, and hands that put frames, orders, proofs and anchors there in any order."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from anomaly.stage import Anomaly
from lading import topics
from lading.batch import AnchorRecord, AnchorState, BatchLeaf, BatchRecord, location
from lading.clone import Clone
from lading.frame import Frame
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.tree import ZERO_HASH, sha256
from lading.verdict import VerdictRecord
from tests.legs import OPERATOR, TENANT, Leg

OPERATORS = {tenant_id(TENANT): OPERATOR.public}
STEPS_MAX = 10_000


class Bench:
    """One log in a folder; stages are opened on it as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = SqliteLog(folder / "log.sqlite")
        self._batch_seq = 0
        self._first = 0

    def stage(
        self, *, records_max: int = 1_000, channels_cached_max: int = 20_000, provisional_ms: int = 600_000
    ) -> Anomaly:
        """The stage on the bench's log and state file."""
        return Anomaly(
            self.log,
            self.folder / "state.sqlite",
            OPERATORS,
            records_max=records_max,
            channels_cached_max=channels_cached_max,
            provisional_ms=provisional_ms,
        )

    def order(self, leg: Leg) -> None:
        """The begin order, as ingest hands it on."""
        self.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])

    def frames(self, frames: Iterable[Frame]) -> None:
        """Frames that passed every check."""
        self.log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode()) for frame in frames])

    def clone(self, clone: Clone) -> None:
        """A proof that a key is in two hands."""
        self.log.append(topics.CLONES, [(clone.headers()[0].gateway_id, clone.encode())])

    def batch(self) -> int:
        """A batch of all frames since the last one, if any; the last batch's number, which is its interval's."""
        end = self.log.end(topics.FRAMES)[0]
        if end == self._first:
            return self._batch_seq
        self._batch_seq += 1
        previous = ZERO_HASH if self._batch_seq == 1 else bytes([1]) * 32
        place = sha256(location(TENANT, self._batch_seq).encode())
        leaf = BatchLeaf(
            tenant_id(TENANT), self._batch_seq, bytes(32), end - self._first, 0, 0, previous, place
        )
        positions = ((0, self._first, end - 1),)
        record = BatchRecord(leaf, TENANT, self._batch_seq, positions, 0, 1, ())
        self.log.append(topics.BATCHES, [(leaf.tenant, record.encode())])
        self._first = end
        return self._batch_seq

    def anchor(self, interval: int, state: AnchorState = "finalized") -> None:
        """The interval's anchor has reached a state."""
        block = (0, ZERO_HASH, 0, 0) if state == "pending" else (7, bytes([7]) * 32, 1, 1)
        record = AnchorRecord(interval, bytes(32), 1, 1, bytes(20), bytes(32), *block, state)
        self.log.append(topics.ANCHORS, [(interval.to_bytes(8, "big"), record.encode())])

    def finalize(self) -> None:
        """Batch and finalize all frames there are."""
        self.anchor(self.batch())

    def said(self) -> list[VerdictRecord]:
        """Every verdict in the log, in order."""
        return [VerdictRecord.decode(record.value) for record in self.log.read(topics.VERDICTS, {}, 100_000)]


def run(stage: Anomaly) -> None:
    """Step until there is nothing new."""
    for _ in range(STEPS_MAX):
        if not stage.step():
            return
    raise AssertionError("the stage does not come to rest")


def check_chain(said: Sequence[VerdictRecord]) -> None:
    """Each verdict is there once and supersedes its leg's one before."""
    latest: dict[bytes, bytes] = {}
    ids = [record.verdict.id for record in said]
    assert len(ids) == len(set(ids))
    for record in said:
        assert record.supersedes == latest.get(record.verdict.leg_id)
        latest[record.verdict.leg_id] = record.verdict.id
