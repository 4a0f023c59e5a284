"""Promise: a company's own servers are used by settings alone: `lading init --services`, then `lading up`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.services.anvil import anvil
from tests.services.influxd import Influxd
from tests.services.kafka_broker import KafkaBroker
from tests.services.mosquitto import Mosquitto
from tests.waiting import until

LIMIT_S = 300.0


class Company:
    """Its servers, and a folder of ours with the environment that says where they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self._mosquitto = Mosquitto(folder)
        self._kafka = KafkaBroker(folder / "kafka")
        self.influxdb = Influxd(folder / "influxdb")

    def start(self) -> None:
        chain = self.stack.enter_context(anvil("--block-time", "1", "--slots-in-an-epoch", "1"))
        for server in (self._mosquitto, self._kafka):
            self.stack.callback(server.stop)
            server.start()
        self.stack.callback(self.influxdb.stop)
        self.influxdb.start(set_up=False)
        self._environment = os.environ | {
            "LADING_MQTT_PORT": str(self._mosquitto.port),
            "LADING_LOG_BOOTSTRAP": self._kafka.bootstrap,
            "LADING_CHAIN_RPC": chain,
            "LADING_DASHBOARDS_URL": self.influxdb.url,
            "LADING_ANCHORING_INTERVAL_S": "2",
            "LADING_EDGE_FLUSH_S": "2",
        }

    def lading(self, *arguments: str) -> str:
        """A command's stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "lading.cli", *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> "subprocess.Popen[bytes]":
        """`lading up`, until the company closes."""
        log = self.stack.enter_context((self.folder / "up.log").open("wb"))
        command = [sys.executable, "-m", "lading.cli", "up"]
        process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
        self.stack.callback(process.wait, 60)
        self.stack.callback(process.send_signal, signal.SIGINT)
        return process


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """Servers that run, and none of ours."""
    one = Company(tmp_path)
    try:
        one.start()
        yield one
    finally:
        one.stack.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stages_work_on_a_companys_own_servers(company: Company) -> None:
    """Only the stages start; frames of the demo fleet are taken, anchored and in InfluxDB; nothing embedded is made."""
    company.lading("init", "--services", "--metrics-port", str(free_port()))
    for command in (("log", "init"), ("dashboards", "init"), ("anchoring", "deploy", "--test-ether")):
        company.lading(*command)
    company.influxdb.token = (company.folder / "lading-data/influxdb-admin.token").read_text().strip()
    process = company.up()

    def finalized() -> bool:
        assert process.poll() is None, (company.folder / "up.log").read_text()[-3000:]
        status: dict[str, Any] = json.loads(company.lading("anchoring", "status", "--json"))
        return status["intervals"]["finalized"] > 0

    until(finalized, LIMIT_S)
    until(lambda: company.influxdb.count("reading", "value") > 0, LIMIT_S)
    said = (company.folder / "up.log").read_text()
    started = {line.split()[0] for line in said.splitlines() if "_started" in line}
    assert started == {"edge", "ingest", "anomaly", "anchoring", "settle", "dashboards"}
    made = {path.name for path in (company.folder / "lading-data").iterdir()}
    assert not made & {"log.sqlite", "chain.sqlite", "broker.sqlite"}
