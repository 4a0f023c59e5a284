"""One installation over real Mosquitto, Kafka, InfluxDB and anvil, each stage its own process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.data import OPERATOR, TENANT
from benchmarks.services.load import Gateway
from lading import topics
from lading.gateways import save_gateways
from lading.kafka.clients import Broker
from lading.kafka.log import KafkaLog
from lading.log import Record
from tests.ports import free_port
from tests.services.anvil import anvil
from tests.services.influxd import Influxd
from tests.services.kafka_broker import KafkaBroker
from tests.services.mosquitto import Mosquitto

WAIT_S_MAX = 300.0
STAGES = ("ingest", "anomaly", "anchoring", "settle", "dashboards")

_SETTINGS = """
[lading]
tenant = "{tenant}"
data = "data"
[mqtt]
port = {mqtt_port}
[log]
kind = "kafka"
bootstrap = "{bootstrap}"
partitions = {partitions}
[chain]
rpc = "{rpc}"
[ingest]
metrics_port = {ports[0]}
[anomaly]
metrics_port = {ports[1]}
{poll}
[anchoring]
metrics_port = {ports[2]}
interval_s = 10
[settle]
metrics_port = {ports[3]}
[dashboards]
url = "{influx}"
metrics_port = {ports[4]}
token_file = "{token}"
status = false
"""


class Site:
    """Servers and stages. `processes` by name, servers too, for their memory."""

    def __init__(self, folder: Path, poll_s: float | None, partitions: int = 2) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self.partitions = partitions
        self._poll_s = poll_s
        self.processes: dict[str, int] = {}
        (folder / "data").mkdir(parents=True)
        OPERATOR.save(folder / "data" / "operator.pem")
        self.mosquitto = Mosquitto(folder).start()
        self._stack.callback(self.mosquitto.stop)
        self.kafka = KafkaBroker(folder / "kafka").start()
        self._stack.callback(self.kafka.stop)
        self.influxd = Influxd(folder / "influxd")
        self.influxd.start()
        self._stack.callback(self.influxd.kill)
        self.rpc = self._stack.enter_context(anvil("--block-time", "1"))
        self.processes["kafka"] = self.kafka.pid
        self._configure()
        self.log = KafkaLog(Broker(self.kafka.bootstrap), partitions=partitions)
        self._stack.callback(self.log.close)

    def _configure(self) -> None:
        token = self.folder / "influx.token"
        token.write_text(self.influxd.token)
        text = _SETTINGS.format(
            tenant=TENANT,
            mqtt_port=self.mosquitto.port,
            bootstrap=self.kafka.bootstrap,
            partitions=self.partitions,
            poll="" if self._poll_s is None else f"poll_s = {self._poll_s}",
            rpc=self.rpc,
            ports=[free_port() for _ in range(5)],
            influx=self.influxd.url,
            token=token,
        )
        self.config = self.folder / "lading.toml"
        self.config.write_text(text)

    def enrol(self, fleet: Sequence[Gateway]) -> None:
        """The gateways that are known."""
        save_gateways(self.folder / "data" / "gateways.json", [gateway.entry for gateway in fleet])

    def start(self, *stages: str, copies: int = 1) -> None:
        """Topics, contracts, then each stage `copies` times."""
        self.command("log", "init")
        self.command("anchoring", "deploy", "--window-s", "5", "--test-ether")
        for stage in stages or STAGES:
            many = copies if stage in ("ingest", "anomaly") else 1
            for number in range(many):
                self._spawn(stage, number)

    def command(self, *arguments: str) -> str:
        """A command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "lading.cli", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=WAIT_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        return done.stdout

    def module(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """A helper process of the benchmark."""
        process = subprocess.Popen(
            [sys.executable, "-m", name, *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        self._stack.callback(_end, process)
        return process

    def _spawn(self, stage: str, number: int) -> None:
        name = f"{stage}-{number}" if number else stage
        environment = {"LADING_INGEST_CLIENT_ID": f"client-{name}", "OMP_NUM_THREADS": "1"}
        if number:
            environment[f"LADING_{stage.upper()}_METRICS_PORT"] = "0"
        output = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", "lading.cli", stage, "run", "--config", str(self.config)],
            stdout=output,
            stderr=output,
            env=os.environ | environment,
        )
        self._stack.callback(_end, process)
        self.processes[name] = process.pid
        self.until(lambda: "_started" in (self.folder / f"{name}.log").read_text(), f"{name} to start")

    def records(self, topic: str) -> Iterator[Record]:
        """Every record of a topic."""
        at: dict[int, int] = {}
        while found := self.log.read(topic, at, 5_000):
            for record in found:
                at[record.partition] = record.offset + 1
                yield record

    def count(self, topic: str) -> int:
        """Records in a topic."""
        return sum(self.log.end(topic).values())

    def lag(self) -> int:
        """Frames that the rules have not seen."""
        seen = self.log.committed("anomaly", topics.FRAMES)
        return sum(end - seen.get(p, 0) for p, end in self.log.end(topics.FRAMES).items())

    def until(
        self, condition: Callable[[], bool], what: str, limit_s: float = WAIT_S_MAX, poll_s: float = 0.05
    ) -> None:
        """Wait for a condition."""
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, f"waited {limit_s} s for {what}"
            time.sleep(poll_s)

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each process."""
        found = {}
        for name, pid in self.processes.items():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    found[name] = int(line.split()[1]) / 1024
        return found

    def processor_s(self) -> dict[str, float]:
        """Processor time that each process has used, s."""
        found = {}
        for name, pid in self.processes.items():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def close(self) -> None:
        """Stop everything."""
        self._stack.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_json(path: Path) -> list[list[object]]:
    """What a load process has written."""
    found: list[list[object]] = json.loads(path.read_text())
    return found
