"""Ingest behind a real broker: processes killed with SIGKILL at random instants, every frame once in the log."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ingest.archive import Archive
from ingest.broker import Broker
from ingest.queries import Queries
from ingest.receiver import Receiver
from ingest.stage import Ingest
from lading import topics
from lading.batch import BatchLeaf, BatchRecord, location
from lading.decoding import decode_frame
from lading.errors import ServiceError
from lading.gateways import save_gateways
from lading.log import SqliteLog
from lading.mqtt import Broker as Address
from lading.names import tenant_id
from lading.tree import ZERO_HASH, root, sha256
from tests.services.brokers import AnyBroker
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.unit.ingest.truck import OPERATOR, OPERATORS, TENANT, Fleet, Truck
from tests.waiting import LIMIT_S, until

KILLS = int(os.environ.get("LADING_TEST_KILLS", "10"))
SEED = int(os.environ.get("LADING_TEST_SEED", "1"))


@pytest.fixture(params=["embedded", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyBroker]:
    server: AnyBroker = Mosquitto(tmp_path) if request.param == "mosquitto" else Broker()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stages() -> Iterator[list["Fixture"]]:
    """Whose processes end with the test, however it ends."""
    found: list[Fixture] = []
    yield found
    for stage in found:
        stage.stop()


def test_frames_reach_the_log_before_they_are_acknowledged(broker: AnyBroker, tmp_path: Path) -> None:
    """A receiver that stops before its step leaves its messages to the next one; nothing is there twice."""
    truck = Truck()
    log = SqliteLog(tmp_path / "log.sqlite")
    ingest = Ingest(log, tmp_path / "ingest.sqlite", Fleet(truck), OPERATORS)
    first = Receiver(ingest, Address("127.0.0.1", broker.port))
    first.start()
    until(lambda: first.is_up)
    gateway, operator = Client(broker.port, "truck"), Client(broker.port, "operator")
    operator.send(truck.order_topic, truck.order(), retain=True)
    gateway.send(truck.topic, *(data for _, data in truck.messages(20)))
    assert first.step(5.0) > 0
    first.stop()
    gateway.send(truck.topic, *(data for _, data in truck.messages(20)))
    second = Receiver(ingest, Address("127.0.0.1", broker.port))
    second.start()
    second.drain(1.0)
    second.stop()
    assert [decode_frame(r.value).header.frame_seq for r in log.read(topics.FRAMES, {}, 100)] == list(
        range(40)
    )
    third = Receiver(ingest, Address("127.0.0.1", broker.port))
    third.start()
    until(lambda: third.is_up)
    assert third.drain(0.5) <= 1, "all but the retained order was acknowledged"
    third.stop()
    ingest.close()


class FullLog(SqliteLog):
    """A log that takes nothing while it `is_full`."""

    is_full = False

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        if self.is_full:
            raise ServiceError("log_full", "no room, wanted some")
        return super().append(topic, items)


def test_a_batch_that_the_log_refuses_is_tried_again(broker: AnyBroker, tmp_path: Path) -> None:
    """The log is full for three steps: what had come is in it afterwards, once, over the same connection."""
    truck = Truck()
    log = FullLog(tmp_path / "log.sqlite")
    ingest = Ingest(log, tmp_path / "ingest.sqlite", Fleet(truck), OPERATORS)
    receiver = Receiver(ingest, Address("127.0.0.1", broker.port))
    receiver.start()
    until(lambda: receiver.is_up)
    gateway, operator = Client(broker.port, "truck"), Client(broker.port, "operator")
    log.is_full = True
    operator.send(truck.order_topic, truck.order(), retain=True)
    gateway.send(truck.topic, *(data for _, data in truck.messages(20)))
    for _ in range(3):
        with pytest.raises(ServiceError, match="log_full"):
            receiver.step(5.0)
    log.is_full = False
    until(lambda: receiver.step(0.1) >= 0 and sum(log.end(topics.FRAMES).values()) >= 20)
    receiver.stop()
    assert [decode_frame(r.value).header.frame_seq for r in log.read(topics.FRAMES, {}, 100)] == list(
        range(20)
    )
    assert len(log.read(topics.ASSIGNMENTS, {}, 100)) == 1
    ingest.close()


class Fixture:
    """A broker and an ingest as processes over one folder, by the command line."""

    def __init__(self, folder: Path, trucks: list[Truck]) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        (folder / "data").mkdir()
        OPERATOR.save(folder / "data" / "operator.pem")
        save_gateways(folder / "data" / "gateways.json", [truck.entry() for truck in trucks])
        self.config = folder / "lading.toml"
        self.config.write_text(
            f'[lading]\ntenant = "{TENANT}"\ndata = "data"\n[mqtt]\nport = {self.port}\n', encoding="utf-8"
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start `broker` or `run`."""
        with (self.folder / f"{name}.txt").open("ab") as output:
            command = [sys.executable, "-m", "lading.cli", "ingest", name, "--config", str(self.config)]
            self.processes[name] = subprocess.Popen(command, stderr=output, stdout=output)
        if name == "broker":
            until(self._listens)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.processes[name].kill()
        self.processes[name].wait()

    def connections(self) -> int:
        """How often ingest has reached the broker."""
        return (self.folder / "run.txt").read_text().count("broker_connected")

    def command(self, *arguments: str) -> str:
        """Run a command of the stage to its end."""
        command = [sys.executable, "-m", "lading.cli", "ingest", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def _listens(self) -> bool:
        assert self.processes["broker"].poll() is None, (self.folder / "broker.txt").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(LIMIT_S)


class Outbox:
    """A gateway's side of the promise: what has no PUBACK is sent again, with every connection."""

    def __init__(self, port: int, truck: Truck) -> None:
        self._port = port
        self.truck = truck
        self.waiting: dict[int, bytes] = {}
        self._mids: dict[int, int] = {}
        self._client: Client | None = None
        self._sent = 0

    def add(self, count: int) -> None:
        """Sign further frames."""
        for _ in range(count):
            frame = self.truck.frame(5)
            self.waiting[frame.header.frame_seq] = frame.encode()

    def step(self) -> None:
        """Send, take PUBACKs, connect anew when the broker is gone."""
        if self._client is None or not self._client.client.is_connected():
            self._connect()
        if self._client is None:
            return
        for mid in self._client.acked & set(self._mids):
            self.waiting.pop(self._mids.pop(mid), None)
        for seq, data in self.waiting.items():
            if seq not in self._mids.values() and len(self._mids) < 20:
                self._mids[self._client.client.publish(self.truck.topic, data, 1).mid] = seq

    def _connect(self) -> None:
        self.close()
        try:
            self._client = Client(self._port, self.truck.name, clean=True)
        except OSError:
            self._client = None

    def close(self) -> None:
        """Go."""
        self._mids.clear()
        if self._client:
            self._client.client.loop_stop()
            self._client.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_nothing_is_lost_or_twice(tmp_path: Path, stages: list["Fixture"]) -> None:
    """Ingest and broker killed with SIGKILL again and again: every frame is once in the log and in the archive."""
    rng = random.Random(SEED)
    trucks = [Truck(f"truck-{n}", 2) for n in range(3)]
    stage = Fixture(tmp_path, trucks)
    stages.append(stage)
    stage.start("broker")
    stage.start("run")
    operator = Client(stage.port, "operator", clean=True)
    for truck in trucks:
        operator.send(truck.order_topic, truck.order(), retain=True)
    operator.close()
    outboxes = [Outbox(stage.port, truck) for truck in trucks]

    def work() -> None:
        for outbox in outboxes:
            if len(outbox.waiting) < 40:
                outbox.add(rng.randint(0, 3))
            outbox.step()
        time.sleep(0.01)

    connected = 0
    for _ in range(KILLS):
        if rng.random() < 0.8:  # else it may die while it starts
            until(lambda: bool(work() or stage.connections() > connected))  # noqa: B023
        until_s = time.monotonic() + rng.uniform(0, 1.5)
        while time.monotonic() < until_s:
            work()
        victim = "broker" if rng.random() < 0.25 else "run"
        connected = stage.connections()
        stage.kill(victim)
        stage.start(victim)
    log = SqliteLog(tmp_path / "data" / "log.sqlite")

    def all_there() -> bool:
        for outbox in outboxes:
            outbox.step()
        wanted = sum(truck.frame_seq for truck in trucks)
        return log.end(topics.FRAMES)[0] >= wanted and not any(outbox.waiting for outbox in outboxes)

    until(all_there, 120)
    records = log.read(topics.FRAMES, {}, 1_000_000)
    for truck in trucks:
        seqs = [decode_frame(r.value).header.frame_seq for r in records if r.key == truck.id]
        assert seqs == list(range(truck.frame_seq))
    assert log.end(topics.DEAD) == {0: 0}
    readings = sum(sum(truck.next_seq.values()) for truck in trucks)
    _anchor(log)
    stage.kill("run")
    stage.start("run")
    queries = Queries(tmp_path / "data" / "archive")
    until(lambda: queries.readings_count() == readings, 60)
    assert queries.duplicates() == 0
    status = json.loads(stage.command("status", "--json"))
    assert {one["name"]: one["frames"] for one in status["gateways"]} == {t.name: t.frame_seq for t in trucks}
    for outbox in outboxes:
        outbox.close()


def _anchor(log: SqliteLog) -> None:
    """One batch of everything, as anchoring would cut it."""
    records = log.read(topics.FRAMES, {}, 1_000_000)
    headers = [decode_frame(record.value).header for record in records]
    place = location(TENANT, 1)
    leaf = BatchLeaf(
        tenant_id(TENANT), 1, root([header.hash for header in headers]), len(headers), 0, 2**40, ZERO_HASH,
        sha256(place.encode()),
    )  # fmt: skip
    record = BatchRecord(leaf, TENANT, 1, ((0, 0, len(records) - 1),), 0, 1, ())
    log.append(topics.BATCHES, [(leaf.tenant, record.encode())])


def test_dead_letters_by_command_line(tmp_path: Path) -> None:
    """List, show and retry: a stranger's frame is taken once the gateway is enrolled."""
    truck = Truck()
    stage = Fixture(tmp_path, [])
    log = SqliteLog(tmp_path / "data" / "log.sqlite")
    ingest = Ingest(log, tmp_path / "data" / "ingest.sqlite", Fleet(), OPERATORS)
    data = truck.frame(0, state=0).encode()
    ingest.take([(truck.topic, data), (truck.topic, b"garbage")])
    ingest.close()
    assert "gateway_unknown" in stage.command("dead", "list")
    found = json.loads(stage.command("dead", "list", "--json", "--code", "gateway_unknown"))
    assert [one["bytes"] for one in found] == [len(data)]
    stage.command("dead", "show", found[0]["number"], "-o", str(tmp_path / "message"))
    assert (tmp_path / "message").read_bytes() == data
    save_gateways(tmp_path / "data" / "gateways.json", [truck.entry()])
    assert "taken" in stage.command("dead", "retry", "gateway_unknown")
    assert [record.value for record in log.read(topics.FRAMES, {}, 10)] == [data]


def test_the_archive_is_the_same_when_written_again(tmp_path: Path) -> None:
    """The same batch gives the same bytes, whatever was there before; a wrong root is refused."""
    truck = Truck()
    log = SqliteLog(tmp_path / "log.sqlite")
    ingest = Ingest(log, tmp_path / "ingest.sqlite", Fleet(truck), OPERATORS)
    ingest.take([(truck.order_topic, truck.order()), *truck.messages(20, 50)])
    ingest.close()
    _anchor(log)
    written = []
    for name in ("one", "two"):
        archive = Archive(log, tmp_path / name, lambda _: TENANT, group=name)
        assert [one.readings for one in archive.step()] == [2000]
        assert archive.step() == []
        written.append({path.name: path.read_bytes() for path in (tmp_path / name / TENANT).iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["00000001.frames", "00000001.parquet"]
    leg = truck.leg.leg_id.hex()
    series = Queries(tmp_path / "one").series(leg, 1)
    frames = [decode_frame(record.value) for record in log.read(topics.FRAMES, {}, 100)]
    wanted = [reading for frame in frames for reading in frame.runs[0].readings]
    assert [tuple(row) for row in zip(series.time_ms, series.value, series.flags, strict=True)] == [
        (reading.time_ms, reading.value, reading.flags) for reading in wanted
    ]
