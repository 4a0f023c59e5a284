"""Certificates by command, Mosquitto with its access list, and whole stages over TLS: frames, orders, receipts pass."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.cose import KeySigner
from lading.decoding import decode_frame
from lading.frame import OPEN
from lading.gateways import GatewayEntry, save_gateways
from lading.log import SqliteLog
from lading.topics import FRAMES
from tests.services.mosquitto import Mosquitto
from tests.waiting import LIMIT_S, until

SETTINGS = """
[lading]
data = "data"
[lading.channels.truck-1]
1 = "air"
2 = "temperature"
3 = "humidity"
4 = "door"
5 = "light"
6 = "shock"
7 = "latitude"
8 = "longitude"
9 = "battery"
[mqtt]
port = {port}
ca = "certs/ca.crt"
certificate = "certs/{{name}}.crt"
key = "certs/{{name}}.key"
[ingest]
share = "lading-ingest-5c1f"
[edge]
flush_s = 1
[edge.link]
protocol = "{protocol}"
[[edge.gateways]]
name = "truck-1"
source = "reefer"
sample_s = 1
"""


class Site:
    """A folder with settings, keys and certificates, and the processes over it."""

    def __init__(self, folder: Path, protocol: str) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder, "tls")
        (folder / "lading.toml").write_text(
            SETTINGS.format(port=self.broker.port, protocol=protocol), "utf-8"
        )
        keys = folder / "data" / "keys"
        keys.mkdir(parents=True)
        KeySigner.generate().save(folder / "data" / "operator.pem")
        signer = KeySigner.generate()
        signer.save(keys / "truck-1.pem")
        save_gateways(
            folder / "data" / "gateways.json", [GatewayEntry(signer.public, "demo", name="truck-1")]
        )
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> str:
        """One command to its end."""
        done = subprocess.run(
            self._command(*arguments), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, stage: str) -> None:
        """A stage as a process."""
        with (self.folder / f"{stage}.txt").open("ab") as output:
            process = subprocess.Popen(self._command(stage, "run"), stdout=output, stderr=output)
        self.processes.append(process)

    def frames(self) -> list[int]:
        """Leg states of the frames in the log."""
        log = SqliteLog(self.folder / "data" / "log.sqlite")
        found = [decode_frame(record.value).header.leg_state for record in log.read(FRAMES, {}, 10_000)]
        log.close()
        return found

    def _command(self, *arguments: str) -> list[str]:
        call = "from lading.cli import main; main()"
        return [sys.executable, "-c", call, *arguments, "--config", str(self.folder / "lading.toml")]


@pytest.fixture(params=["auto", "3.1.1"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    site = Site(tmp_path, request.param)
    yield site
    for process in site.processes:
        process.terminate()
    for process in site.processes:
        process.wait(LIMIT_S)
    site.broker.stop()


def test_the_path_over_tls(site: Site) -> None:
    """A leg is ordered, its frames reach the log, and the outbox is emptied by receipts, all by certificate."""
    certs = site.folder / "data" / "certs"
    site.run("certs", "init")
    site.run("certs", "server", "server", "--host", "127.0.0.1")
    site.run("certs", "gateway", "truck-1")
    for name in ("ingest", "operator"):
        site.run("certs", "client", name)
    site.run("certs", "acl", str(site.broker.acl))
    for name in ("ca.crt", "ca.crl", "server.crt", "server.key"):
        shutil.copy(certs / name, site.broker.certs / name)
    site.broker.start()
    site.start("ingest")
    site.start("edge")
    until(lambda: site.frames(), 60)
    site.run("leg", "begin", "PO 77", "truck-1", "--wait-s", "90")
    until(lambda: OPEN in site.frames(), 60)

    def waiting() -> int:
        return int(json.loads(site.run("edge", "status", "--json"))["truck-1"]["frames_waiting"])

    until(lambda: len(site.frames()) > 10, 60)
    until(lambda: waiting() <= 3, 60)
    assert "denied" not in site.broker.log
