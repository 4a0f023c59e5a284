"""Promises: what an earlier release left goes on to the same verdicts; what a newer one left is refused by name."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from anchoring.index import Index
from anomaly.state import State as AnomalyState
from contracts.ledger import Ledger
from dashboards.timeseries.state import SeriesState
from edge.gateway import Gateway
from edge.outbox import Outbox
from ingest.broker import Broker
from ingest.broker_store import BrokerStore
from ingest.stage import Ingest
from ingest.state import State as IngestState
from lading import topics
from lading.account import Account
from lading.chain import Chain
from lading.cose import KeySigner
from lading.decoding import decode_frame
from lading.errors import ServiceError
from lading.evm import EvmNode
from lading.log import SqliteLog
from lading.sending import Fees, Sender
from lading.verdict import VerdictRecord
from tests.services.mqtt_client import Client
from tests.unit.ingest.truck import BEGIN_MS, OPERATOR, OPERATORS, TENANT, Fleet, Truck
from tests.upgrade.make import LETTERS, NOW_MS, anchor, judge
from tests.waiting import until

RELEASES = sorted(path for path in Path(__file__).parent.iterdir() if (path / "story.json").exists())


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def left(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The data folder as the release left it, and its story."""
    folder: Path = request.param
    for path in folder.glob("*.sql"):
        with closing(sqlite3.connect(tmp_path / f"{path.stem}.sqlite")) as db:
            db.executescript(path.read_text("utf-8"))
    return tmp_path, json.loads((folder / "story.json").read_text("utf-8"))


def trucks() -> list[Truck]:
    return [Truck("truck-1", seed=1), Truck("truck-2", seed=2)]


def final_verdicts(log: SqliteLog) -> list[str]:
    found = [VerdictRecord.decode(record.value).verdict for record in log.read(topics.VERDICTS, {}, 1_000)]
    return [verdict.encoded.hex() for verdict in found if verdict.final]


def test_stages_go_on_to_the_same_verdicts(left: tuple[Path, dict[str, Any]]) -> None:
    """The rest of the messages: the frame that waited is taken, the open leg is judged, nothing is said twice."""
    data, story = left
    messages = [(topic, bytes.fromhex(message)) for topic, message in story["messages"]]
    log = SqliteLog(data / "log.sqlite", now_ms=lambda: NOW_MS)
    assert len(final_verdicts(log)) == 1
    ingest = Ingest(log, data / "ingest.sqlite", Fleet(*trucks()), OPERATORS, now_ms=lambda: NOW_MS)
    again = ingest.take(messages[: story["taken"]])
    assert {outcome.action for outcome in again} <= {"dropped", "waiting"}
    assert {ingest.take([message])[0].action for message in messages[story["taken"] :]} == {"taken"}
    ingest.close()
    index = Index(data / "anchor-index.sqlite")
    anchor(log, index)
    assert index.interval_last() == 2
    index.close()
    judge(log, data)
    assert sorted(final_verdicts(log)) == story["verdicts"]
    ledger = Ledger(log, data / "settle.sqlite")
    ledger.catch_up()
    frames = [decode_frame(record.value).header for record in log.read(topics.FRAMES, {}, 1_000)]
    assert all(ledger.frame(header.hash) is not None for header in frames)
    assert len(frames) == len(messages) - 2
    ledger.close()
    log.close()


def test_a_gateway_goes_on_in_its_chain(left: tuple[Path, dict[str, Any]]) -> None:
    """The next frame has the next number and names the last one that the release signed; what waited still waits."""
    data, _ = left
    signer = KeySigner.from_seed(b"edge")
    outbox = Outbox(data / "outbox.sqlite", signer.public.gateway_id)
    gateway = Gateway(outbox, signer, OPERATOR.public, TENANT, {1: 1})
    gateway.take(1, BEGIN_MS + 600_000, 6_000)
    gateway.cut(BEGIN_MS + 600_000)
    frames = [decode_frame(frame) for _, frame in outbox.frames_after(-1, 10)]
    assert [frame.header.frame_seq for frame in frames] == [0, 1, 2]
    assert frames[2].header.previous_hash == frames[1].header.hash
    assert [reading.value for reading in frames[2].runs[0].readings] == [5_002, 6_000]
    outbox.close()


def test_a_broker_delivers_what_it_kept(left: tuple[Path, dict[str, Any]]) -> None:
    """Messages that the release took for a client that was away."""
    data, _ = left
    server = Broker(store=data / "broker.sqlite")
    server.start()
    away = Client(server.port, "away")
    until(lambda: len(away.payloads) == LETTERS)
    assert away.payloads == [b"%d" % number for number in range(LETTERS)]
    away.close()
    server.stop()


def test_a_sender_knows_what_it_sent(left: tuple[Path, dict[str, Any]]) -> None:
    """The transaction of a purpose is not sent again."""
    data, _ = left
    account = Account.from_seed(b"upgrade")
    chain = Chain(EvmNode({account.address: 10**18}, lambda: 1_700_000_000))
    sender = Sender(chain, account, data / "anchor-outbox.sqlite", Fees())
    intent = sender.attempt("anchor/1", bytes(range(20)), b"")
    assert (intent.state, intent.closed) == ("finalized", 1)
    sender.close()


def _ledger(path: Path) -> object:
    return Ledger(SqliteLog(path.with_name("empty-log.sqlite")), path)


def _sender(path: Path) -> object:
    account = Account.from_seed(b"upgrade")
    return Sender(Chain(EvmNode({}, lambda: 1_700_000_000)), account, path, Fees())


def _outbox(path: Path) -> object:
    return Outbox(path, bytes(32))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (SqliteLog, "store_version"),
        (IngestState, "store_version"),
        (AnomalyState, "store_version"),
        (Index, "store_version"),
        (BrokerStore, "store_version"),
        (SeriesState, "store_version"),
        (_sender, "store_version"),
        (_ledger, "store_version"),
        (_outbox, "outbox_version"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_data_of_a_newer_release_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], Any], code: str
) -> None:
    """By name, with both versions; not a table is made in it."""
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE of_tomorrow (x); PRAGMA user_version = 99;")
    with pytest.raises(ServiceError, match=rf"{code}.*99"):
        make(path)
    with closing(sqlite3.connect(path)) as db:
        assert [row[0] for row in db.execute("SELECT name FROM sqlite_master")] == ["of_tomorrow"]
