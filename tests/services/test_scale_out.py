"""Two and four ingest and anomaly processes over the real Mosquitto and Kafka: added, killed, and nothing is lost."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from anomaly.scoring.engine import Engine
from anomaly.stage import Anomaly
from lading import topics
from lading.decoding import decode_frame
from lading.frame import CLOSED
from lading.gateways import save_gateways
from lading.kafka.clients import Broker
from lading.kafka.log import KafkaLog
from lading.log import Log, Record, SqliteLog
from lading.verdict import VerdictRecord
from tests.services.kafka_broker import KafkaBroker, fresh_prefix
from tests.services.mosquitto import Mosquitto
from tests.services.test_broker import Client
from tests.unit.ingest.truck import OPERATOR, OPERATORS, TENANT, Truck
from tests.waiting import LIMIT_S, until

PARTITIONS = 8
TRUCKS = 16
FRAMES = 24
SESSION_S = 2

_SETTINGS = """
[lading]
tenant = "{tenant}"
data = "data"
[mqtt]
port = {mqtt_port}
[log]
kind = "kafka"
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = {partitions}
session_s = {session_s}
[ingest]
archive_here = false
[anomaly]
poll_s = 0.05
"""


Item = tuple[bytes, bytes]


class Site:
    """One installation whose processes come and go."""

    def __init__(
        self, folder: Path, kafka: KafkaBroker, mosquitto: Mosquitto, trucks: Sequence[Truck]
    ) -> None:
        self.folder = folder
        prefix = fresh_prefix()
        (folder / "data").mkdir()
        OPERATOR.save(folder / "data" / "operator.pem")
        save_gateways(folder / "data" / "gateways.json", [truck.entry() for truck in trucks])
        self.config = folder / "lading.toml"
        self.config.write_text(
            _SETTINGS.format(
                tenant=TENANT,
                mqtt_port=mosquitto.port,
                bootstrap=kafka.bootstrap,
                prefix=prefix,
                partitions=PARTITIONS,
                session_s=SESSION_S,
            )
        )
        self.log = KafkaLog(Broker(kafka.bootstrap), partitions=PARTITIONS, prefix=prefix)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, stage: str, number: int) -> None:
        """One more process of a stage."""
        name = f"{stage}-{number}"
        command = [sys.executable, "-m", "lading.cli", stage, "run", "--config", str(self.config)]
        environment = {"LADING_INGEST_CLIENT_ID": f"client-{name}"}
        with (self.folder / f"{name}.txt").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **environment}
            )

    def kill(self, stage: str, number: int) -> None:
        """SIGKILL."""
        process = self.processes.pop(f"{stage}-{number}")
        process.kill()
        process.wait()

    def parts(self, stage: str) -> dict[str, set[int]]:
        """Partitions of each of a stage's processes, by what they have said."""
        return {
            name: _owned((self.folder / f"{name}.txt").read_text())
            for name in self.processes
            if name.startswith(stage)
        }

    def is_shared_out(self, stage: str) -> bool:
        """Whether each partition is one process's, and everyone has some."""
        parts = list(self.parts(stage).values())
        return sorted(p for part in parts for p in part) == list(range(PARTITIONS)) and all(parts)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(LIMIT_S)
        self.log.close()


def _owned(text: str) -> set[int]:
    owned: set[int] = set()
    for line in text.splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            if said["event"].endswith("_started"):
                owned = set()  # a life before ended without a word
            elif said["event"] == "partition_taken":
                owned.add(said["partition"])
            elif said["event"] == "partition_released":
                owned.discard(said["partition"])
    return owned


def everything(log: Log, topic: str) -> Iterator[Record]:
    at: dict[int, int] = {}
    while records := log.read(topic, at, 1_000):
        for record in records:
            at[record.partition] = record.offset + 1
            yield record


def last_verdicts(log: Log) -> dict[bytes, bytes]:
    """The id of each leg's newest verdict."""
    found = [VerdictRecord.decode(record.value).verdict for record in everything(log, topics.VERDICTS)]
    return {verdict.leg_id: verdict.id for verdict in found}


def judged_by_one(folder: Path, orders: list[Item], frames: list[Item]) -> dict[bytes, bytes]:
    """The verdicts of one process over the embedded log: the peer that the many are held to."""
    log = SqliteLog(folder / "one.sqlite")
    log.append(topics.ASSIGNMENTS, orders)
    log.append(topics.FRAMES, frames)
    stage = Anomaly(log, folder / "one-state.sqlite", OPERATORS)
    while stage.step():
        pass
    stage.close()
    return last_verdicts(log)


def scored_by_one(frames: list[Item]) -> list[bytes]:
    """What one process says of all channels."""
    return [one.encode() for one in Engine().take([data for _, data in frames])]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_come_and_go(kafka: KafkaBroker, tmp_path: Path) -> None:
    """Two of each share the load; two more join; one of each is killed: each frame once, verdicts and scores right."""
    mosquitto = Mosquitto(tmp_path).start()
    trucks = [Truck(f"truck-{n}") for n in range(TRUCKS)]
    site = Site(tmp_path, kafka, mosquitto, trucks)
    orders = [(truck.id, truck.order()) for truck in trucks]
    sent: list[tuple[bytes, bytes]] = []
    try:
        for number in (1, 2):
            site.start("ingest", number)
            site.start("anomaly", number)
        until(lambda: site.is_shared_out("ingest") and site.is_shared_out("anomaly"), 180)
        operator, gateways = Client(mosquitto.port, "operator"), Client(mosquitto.port, "gateways")
        for truck, (_, order) in zip(trucks, orders, strict=True):
            operator.send(truck.order_topic, order, retain=True)

        def drive(count: int, *, is_end: bool = False) -> None:
            for n in range(count):
                for truck in trucks:
                    state = CLOSED if is_end and n == count - 1 else None
                    data = truck.frame(3, state=state).encode()
                    sent.append((truck.id, data))
                    gateways.send(truck.topic, data)

        drive(FRAMES // 3)
        for number in (3, 4):
            site.start("ingest", number)
            site.start("anomaly", number)
        drive(FRAMES // 3)
        until(lambda: site.is_shared_out("ingest") and site.is_shared_out("anomaly"), 180)
        site.kill("ingest", 2)
        site.kill("anomaly", 1)
        drive(FRAMES // 3, is_end=True)
        until(lambda: site.is_shared_out("ingest") and site.is_shared_out("anomaly"), 180)
        site.start("ingest", 2)  # the broker keeps what it had under way for its session
        until(lambda: sum(site.log.end(topics.FRAMES).values()) >= len(sent), 180)
        wanted = judged_by_one(tmp_path, orders, sent)
        until(lambda: last_verdicts(site.log) == wanted, 180)
        until(lambda: site.is_shared_out("ingest") and site.is_shared_out("anomaly"), 180)
        assert Counter(r.value for r in everything(site.log, topics.FRAMES)) == Counter(
            data for _, data in sent
        )
        assert not list(everything(site.log, topics.DEAD))
        seqs: dict[bytes, list[int]] = {}
        for record in everything(site.log, topics.FRAMES):
            seqs.setdefault(record.key, []).append(decode_frame(record.value).header.frame_seq)
        assert seqs == {truck.id: list(range(truck.frame_seq)) for truck in trucks}, "each gateway's in order"
        verdicts = [VerdictRecord.decode(r.value) for r in everything(site.log, topics.VERDICTS)]
        assert len({one.verdict.id for one in verdicts}) == len(verdicts), "no verdict twice"
        scores = Counter(scored_by_one(sent))
        assert len(scores) >= TRUCKS
        until(lambda: Counter(r.value for r in everything(site.log, topics.ANOMALIES)) == scores, 180)
    finally:
        site.stop()
        mosquitto.stop()
