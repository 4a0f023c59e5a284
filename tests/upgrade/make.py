"""Write what a release leaves on disk, as text: `python -m tests.upgrade.make FOLDER`, run by that release's own code.

Two trucks: the first one's leg is closed, anchored and judged for good; the second one's is under way, with a frame
that waits for one before it. FOLDER has a dump of each SQLite file, and `story.json`: every message, how many of them
were taken, and the final verdicts that the same code ends in when it is left undisturbed.
"""

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from anchoring.batches import Head, batched_frames, roll, super_root
from anchoring.index import Index
from anomaly.stage import Anomaly
from contracts.ledger import Ledger
from edge.gateway import Gateway
from edge.outbox import Outbox
from ingest.broker import Broker
from ingest.stage import Ingest
from lading import topics
from lading.account import Account
from lading.batch import AnchorRecord
from lading.chain import Chain
from lading.cose import KeySigner
from lading.evm import EvmNode
from lading.frame import CLOSED
from lading.log import SqliteLog
from lading.sending import Fees, Sender
from lading.verdict import VerdictRecord
from tests.unit.ingest.truck import BEGIN_MS, OPERATOR, OPERATORS, TENANT, Fleet, Truck
from tests.waiting import until

NOW_MS = BEGIN_MS + 10**9
FRAMES = 6
LETTERS = 3


def main(folder: Path) -> None:
    """Everything, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    trucks = [Truck("truck-1", seed=1), Truck("truck-2", seed=2)]
    messages = story(trucks)
    taken = (
        1 + (FRAMES + 1) + 2 + 1
    )  # both orders, the first leg, two frames of the second, and one that waits
    with tempfile.TemporaryDirectory() as scratch:
        verdicts = undisturbed(Path(scratch) / "calm", trucks, messages)
        data = Path(scratch) / "data"
        data.mkdir()
        stages(data, trucks, messages[:taken])
        edge(data)
        broker(data)
        sender(data)
        for path in sorted(data.glob("*.sqlite")):
            (folder / f"{path.stem}.sql").write_text(dump(path), "utf-8")
    document = {"messages": [[t, m.hex()] for t, m in messages], "taken": taken, "verdicts": verdicts}
    (folder / "story.json").write_text(json.dumps(document, indent=0) + "\n", "utf-8")


def story(trucks: list[Truck]) -> list[tuple[str, bytes]]:
    """Both orders; all frames of the first truck; of the second 0, 1, 3, and then 2, 4, 5."""
    legs = []
    orders = [(truck.order_topic, truck.order(f"PO {n}")) for n, truck in enumerate(trucks, 1)]
    for truck in trucks:
        frames = [truck.frame(state=CLOSED if n == FRAMES - 1 else None) for n in range(FRAMES)]
        legs.append([(truck.topic, frame.encode()) for frame in frames])
    second = [legs[1][at] for at in (0, 1, 3, 2, 4, 5)]
    return [*orders, *legs[0], *second]


def undisturbed(data: Path, trucks: list[Truck], messages: list[tuple[str, bytes]]) -> list[str]:
    """The final verdicts when nothing stops in between."""
    data.mkdir()
    stages(data, trucks, messages)
    log = SqliteLog(data / "log.sqlite")
    found = [VerdictRecord.decode(record.value).verdict for record in log.read(topics.VERDICTS, {}, 1_000)]
    log.close()
    return sorted(verdict.encoded.hex() for verdict in found if verdict.final)


def stages(data: Path, trucks: list[Truck], messages: list[tuple[str, bytes]]) -> None:
    """Log, ingest, an interval, anomaly, the anchoring index and the ledger."""
    log = SqliteLog(data / "log.sqlite", now_ms=lambda: NOW_MS)
    ingest = Ingest(log, data / "ingest.sqlite", Fleet(*trucks), OPERATORS, now_ms=lambda: NOW_MS)
    for message in messages:
        ingest.take([message])
    ingest.close()
    index = Index(data / "anchor-index.sqlite")
    anchor(log, index)
    index.close()
    judge(log, data)
    ledger = Ledger(log, data / "settle.sqlite")
    ledger.catch_up()
    ledger.close()
    log.close()


def anchor(log: SqliteLog, index: Index) -> None:
    """One interval of every frame that is in none yet, finalized."""
    at = index.positions(topics.FRAMES).get(0, 0)
    records = log.read(topics.FRAMES, {0: at}, 1_000)
    interval = index.interval_last() + 1
    frames = batched_frames([(TENANT, record.value) for record in records])
    head = index.head(TENANT)
    batches = roll(interval, ((0, at, at + len(records) - 1),), frames, {TENANT: Head(*vars_of(head))})
    log.append(topics.BATCHES, [(batch.leaf.tenant, batch.encode()) for batch in batches])
    index.add_interval(batches, frames, log.end(topics.BATCHES))
    record = AnchorRecord(
        interval, super_root(batches), 1, 1, bytes(range(20)), bytes([interval]) * 32, interval,
        bytes([interval]) * 32, NOW_MS, 50_000, "finalized",
    )  # fmt: skip
    log.append(topics.ANCHORS, [(interval.to_bytes(8, "big"), record.encode())])
    index.add_anchors(log.read(topics.ANCHORS, {0: interval - 1}, 10), log.end(topics.ANCHORS))


def vars_of(head: Head) -> tuple[int, bytes]:
    """A head's fields."""
    return head.batch_seq, head.leaf_hash


def judge(log: SqliteLog, data: Path) -> None:
    """The anomaly stage until nothing is new."""
    stage = Anomaly(log, data / "anomaly.sqlite", OPERATORS)
    while stage.step():
        pass
    stage.close()


def edge(data: Path) -> None:
    """A gateway with two frames in its outbox and a reading that is in none."""
    signer = KeySigner.from_seed(b"edge")
    gateway = Gateway(
        Outbox(data / "outbox.sqlite", signer.public.gateway_id), signer, OPERATOR.public, TENANT, {1: 1}
    )
    for number in range(3):
        gateway.take(1, BEGIN_MS + 60_000 * number, 5_000 + number)
        if number < 2:
            gateway.cut(BEGIN_MS + 60_000 * number)
    gateway.outbox.close()


def broker(data: Path) -> None:
    """Messages for a client that is away."""
    server = Broker(store=data / "broker.sqlite")
    server.start()
    away = paho.Client(CallbackAPIVersion.VERSION2, "away", clean_session=False)
    subscribed: list[int] = []
    away.on_subscribe = lambda *_: subscribed.append(1)
    away.connect("127.0.0.1", server.port)
    away.loop_start()
    away.subscribe("a/#", 1)
    until(lambda: subscribed)
    away.disconnect()
    away.loop_stop()
    sender = paho.Client(CallbackAPIVersion.VERSION2, "sender")
    sender.connect("127.0.0.1", server.port)
    sender.loop_start()
    for number in range(LETTERS):
        sender.publish("a/b", b"%d" % number, 1).wait_for_publish(10)
    sender.disconnect()
    sender.loop_stop()
    server.stop()


def sender(data: Path) -> None:
    """One transaction that was sent and is final."""
    account = Account.from_seed(b"upgrade")
    chain = Chain(EvmNode({account.address: 10**18}, lambda: 1_700_000_000))
    outbox = Sender(chain, account, data / "anchor-outbox.sqlite", Fees())
    outbox.attempt("anchor/1", bytes(range(20)), b"")
    outbox.step(0)
    outbox.step(1)
    outbox.close()


def dump(path: Path) -> str:
    """A file's schema version and statements."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return "\n".join([*db.iterdump(), f"PRAGMA user_version = {version};", ""])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
