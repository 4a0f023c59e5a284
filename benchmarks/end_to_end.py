"""From a message's bytes to the archive: the stages in one process, against a receiver of signed JSON readings."""

import gc
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from anchoring.batches import batched_frames, roll
from anomaly.stage import Anomaly
from benchmarks.data import OPERATOR, TENANT, Chain, in_turns, make_chain
from benchmarks.measure import Result, Work, compare
from benchmarks.trees import hashlib_root
from ingest.archive import Archive
from ingest.stage import Ingest
from lading import topics
from lading.assignment import sign_assignment
from lading.cose import PublicKey
from lading.gateways import GatewayEntry
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.signatures import Signatures

GATEWAYS, FRAMES = 16, 96
READINGS = 100
MESSAGES_A_TAKE = 256
PEER_READINGS = 2_000

Message = tuple[str, bytes]


@dataclass
class Enrolled:
    """A gateway registry in memory."""

    entries: dict[bytes, GatewayEntry]

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        """The gateway's entry."""
        return self.entries.get(gateway_id)

    def tenant_of(self, gateway_id: bytes) -> str:
        """Its tenant."""
        return self.entries[gateway_id].tenant


@dataclass
class Pipeline:
    """Ingest, batches, archive and rules over one folder. `spent_s` says where a run's processor time went."""

    folder: Path
    chains: list[Chain]
    signatures: Signatures
    spent_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = [chain.signer.public for chain in self.chains]
        enrolled = Enrolled({key.gateway_id: GatewayEntry(key, TENANT) for key in keys})
        operators = {tenant_id(TENANT): OPERATOR.public}
        self.log = SqliteLog(self.folder / "log.sqlite")
        self.ingest = Ingest(
            self.log,
            self.folder / "ingest.sqlite",
            enrolled,
            operators,
            verify_threads=1,
            signatures=self.signatures,
        )
        self.archive = Archive(self.log, self.folder / "archive", enrolled.tenant_of)
        self.anomaly = Anomaly(self.log, self.folder / "anomaly.sqlite", operators)
        for chain in self.chains:
            topic = topics.gateway_topic(TENANT, chain.signer.public.gateway_id, "assignment")
            (outcome,) = self.ingest.take([(topic, sign_assignment(chain.order, OPERATOR))])
            assert outcome.action == "taken", outcome
        self.anomaly.step()

    def run(self, messages: list[Message]) -> None:
        """Take messages, cut one batch, archive it, judge the legs."""
        self._timed("ingest", lambda: self._take(messages))
        self._timed("batch", self._cut)
        self._timed("archive", self._archive)
        self._timed("rules", self._judge)

    def _timed(self, name: str, work: Callable[[], None]) -> None:
        begin = time.process_time()
        work()
        self.spent_s[name] = time.process_time() - begin

    def _take(self, messages: list[Message]) -> None:
        for at in range(0, len(messages), MESSAGES_A_TAKE):
            outcomes = self.ingest.take(messages[at : at + MESSAGES_A_TAKE])
            assert all(outcome.action == "taken" for outcome in outcomes)

    def _cut(self) -> None:
        records = self.log.read(topics.FRAMES, {}, 1_000_000)
        frames = batched_frames([(TENANT, record.value) for record in records])
        batches = roll(1, ((0, 0, len(records) - 1),), frames, {})
        self.log.append(topics.BATCHES, [(batch.leaf.tenant, batch.encode()) for batch in batches])

    def _archive(self) -> None:
        assert sum(done.frames for done in self.archive.step()) == self.log.end(topics.FRAMES)[0]

    def _judge(self) -> None:
        while self.anomaly.step():
            pass

    def close(self) -> None:
        """Close the files and delete them."""
        self.ingest.close()
        self.anomaly.close()
        self.log.close()
        shutil.rmtree(self.folder)


class Naive:
    """The peer: every reading a JSON object with its own signature; verified, hashed, stored and archived as such."""

    def __init__(self, chains: list[Chain]) -> None:
        self.keys = {chain.signer.public.gateway_id.hex(): chain.signer.public for chain in chains}
        self.messages = [
            self._message(chain, reading)
            for chain in chains
            for frame in chain.frames[: PEER_READINGS // READINGS // len(chains) + 1]
            for run in frame.runs
            for reading in run.readings
        ][:PEER_READINGS]

    def _message(self, chain: Chain, reading: Any) -> bytes:
        body = orjson.dumps(
            {"gateway": chain.signer.public.gateway_id.hex(), "channel": 1, **reading._asdict()}
        )
        return orjson.dumps({"reading": body.decode(), "signature": chain.signer.sign(body).hex()})

    def run(self) -> None:
        """Verify each, hash each, one row each in SQLite (one commit in 100), Parquet from dicts, one tree."""
        folder = Path(tempfile.mkdtemp(prefix="lading-bench-"))
        db = sqlite3.connect(folder / "log.sqlite", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE records (at INTEGER PRIMARY KEY, value BLOB)")
        readings = []
        for at in range(0, len(self.messages), 100):
            db.execute("BEGIN")
            for message in self.messages[at : at + 100]:
                readings.append(self._take(message))
                db.execute("INSERT INTO records (value) VALUES (?)", (message,))
            db.execute("COMMIT")
        hashlib_root([orjson.dumps(reading) for reading in readings])
        pq.write_table(pa.Table.from_pylist(readings), folder / "readings.parquet", compression="zstd")
        db.close()
        shutil.rmtree(folder)

    def _take(self, message: bytes) -> dict[str, Any]:
        envelope = orjson.loads(message)
        body = envelope["reading"].encode()
        reading: dict[str, Any] = orjson.loads(body)
        key: PublicKey = self.keys[reading["gateway"]]
        key.verify_digest(sha256(body).digest(), bytes.fromhex(envelope["signature"]))
        assert 2000 <= reading["value"] <= 8000
        return reading


def run(*, quick: bool) -> list[Result]:
    """Frames of 100 readings; keys have been seen before, as in a process that has run for a while."""
    chains = [make_chain(gateway, FRAMES // 4 if quick else FRAMES, READINGS) for gateway in range(GATEWAYS)]
    frames = in_turns(chains)
    messages = [
        (topics.gateway_topic(TENANT, frame.header.gateway_id, "frames"), frame.encode()) for frame in frames
    ]
    signatures = Signatures(claims_before_tables=0)
    claims = [
        (c.signer.public, sha256(f.header.signed).digest(), f.signature) for c in chains for f in c.frames
    ]
    for _ in range(1 + 200 // len(chains[0].frames)):
        signatures.check(claims)
    spent: dict[str, list[float]] = {}

    opened: list[Pipeline] = []

    def prepare() -> tuple[Pipeline]:
        while opened:
            opened.pop().close()
        opened.append(Pipeline(Path(tempfile.mkdtemp(prefix="lading-bench-")), chains, signatures))
        return (opened[0],)

    def once(pipeline: Pipeline) -> None:
        pipeline.run(messages)
        for name, value in pipeline.spent_s.items():
            spent.setdefault(name, []).append(value / len(messages) * 1e6)

    naive = Naive(chains)
    gc.collect()
    gc.freeze()  # what the data was made of would otherwise be walked by the collector, in both
    data = (
        f"{len(messages)} frames of {READINGS} readings from {GATEWAYS} gateways, {MESSAGES_A_TAKE} messages at once, "
        f"durable in SQLite and Parquet; peer {len(naive.messages)} readings; one thread"
    )
    works = {
        "lading stages": Work(once, len(messages) * READINGS, prepare),
        "a signed JSON reading each": Work(naive.run, len(naive.messages)),
    }
    found = compare("end to end", "readings/s", data, works, quick=quick)
    opened.pop().close()
    notes = {f"cpu us a frame in {name}": statistics.median(values) for name, values in spent.items()}
    return [replace(found, notes=notes)]
