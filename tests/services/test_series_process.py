"""`lading dashboards run` as a process: killed, restarted, and with InfluxDB away, it writes every point once."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.data import make_chain
from lading import topics
from lading.gateways import GatewayEntry, save_gateways
from lading.log import SqliteLog, wall_ms
from lading.supervise import lading_command
from lading.topics import gateway_topic
from tests.ports import free_port
from tests.services.influxd import Influxd, influxd
from tests.services.mosquitto import Mosquitto
from tests.waiting import LIMIT_S, until

GATEWAYS, FRAMES, READINGS = 10, 40, 100
ALL = GATEWAYS * FRAMES * READINGS
KILLS = int(os.environ.get("LADING_KILLS", "3"))
RESIDENT_MB_MAX = 400
SETTINGS = """
[lading]
tenant = "bench"
data = "data"

[mqtt]
port = {mqtt_port}

[dashboards]
url = "{url}"
records_max = 5
poll_s = 0.05
interval_s = 1
timeout_s = 2
metrics_port = {metrics_port}
scrape = {{ series-1 = "http://127.0.0.1:{metrics_port}/metrics", gone = "http://127.0.0.1:1/metrics" }}
"""


class Place:
    """An installation's folder, and the writer's process in it."""

    def __init__(self, folder: Path, server: Influxd) -> None:
        self.folder, self.server = folder, server
        (folder / "data").mkdir()
        self.config = folder / "lading.toml"
        self.configure(free_port())
        self.token = folder / "data" / "influxdb-writer.token"
        self.token.write_text(server.token, "utf-8")
        self.log = SqliteLog(folder / "data" / "log.sqlite")
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, mqtt_port: int) -> None:
        text = SETTINGS.format(url=self.server.url, mqtt_port=mqtt_port, metrics_port=free_port())
        self.config.write_text(text, "utf-8")

    def fill(self, first_frame: int = 0, last_frame: int = FRAMES) -> None:
        """Frames of several gateways, in turns."""
        chains = [make_chain(number, FRAMES, READINGS) for number in range(GATEWAYS)]
        entries = [GatewayEntry(one.signer.public, "bench", name=f"g{at}") for at, one in enumerate(chains)]
        save_gateways(self.folder / "data" / "gateways.json", entries)
        frames = [frame for turn in zip(*(chain.frames for chain in chains), strict=True) for frame in turn]
        some = frames[first_frame * GATEWAYS : last_frame * GATEWAYS]
        self.log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode()) for frame in some])

    def start(self) -> None:
        with (self.folder / "writer.log").open("ab") as out:
            command = lading_command("dashboards", "run", "--config", str(self.config))
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def status(self) -> dict[str, Any]:
        command = lading_command("dashboards", "status", "--config", str(self.config), "--json")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == (found["state"] == "writing")
        return found

    def is_written(self) -> bool:
        """The position is committed, so every point before it is in InfluxDB."""
        return self.log.committed("series", topics.FRAMES) == self.log.end(topics.FRAMES)

    def resident_mb(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Influxd]:
    with influxd(tmp_path / "influxd") as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, server: Influxd) -> Iterator[Place]:
    found = Place(tmp_path, server)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.kill()


def sums(server: Influxd) -> list[tuple[str, int, float]]:
    """(gateway, count, sum of values) of all readings."""
    rows = server.rows("SELECT count(value) AS n, sum(value) AS total FROM reading GROUP BY gateway")
    return [(row["gateway"], row["n"], round(row["total"], 3)) for row in rows]


def expected_sums() -> list[tuple[str, int, float]]:
    found = []
    for number in range(GATEWAYS):
        values = [r.value for f in make_chain(number, FRAMES, READINGS).frames for r in f.runs[0].readings]
        found.append((f"g{number}", len(values), sum(values) / 1000))
    return sorted(found)


def test_killed_in_mid_write_it_writes_every_reading_once(place: Place, server: Influxd) -> None:
    """SIGKILL at random instants, between which the log is written: counts and sums are those of the readings."""
    place.fill()
    randomness = random.Random(int(os.environ.get("LADING_SEED", "1")))
    for _ in range(KILLS):
        if place.is_written():  # everything once more, with its state lost
            place.log.commit("series", topics.FRAMES, {0: 0})
            for path in (place.folder / "data").glob("series.sqlite*"):
                path.unlink()
        before = place.log.committed("series", topics.FRAMES)
        place.start()
        until(lambda before=before: place.log.committed("series", topics.FRAMES) != before)
        time.sleep(randomness.random() * 0.2)
        place.kill()
    place.start()
    until(place.is_written, 60)
    assert sums(server) == expected_sums()


def test_influxdb_away_and_back(place: Place, server: Influxd) -> None:
    """Killed under load and away meanwhile: status says so, memory stays, and everything is there afterwards."""
    place.fill(0, FRAMES // 2)
    place.start()
    until(lambda: place.log.committed("series", topics.FRAMES))
    server.kill()
    place.fill(FRAMES // 2)
    until(lambda: place.status()["state"] == "waiting")
    found = place.status()
    assert found["code"] == "series_unreachable"
    assert found["behind"][topics.FRAMES] > 0
    assert place.resident_mb() < RESIDENT_MB_MAX
    server.start()
    until(place.is_written, 60)
    assert place.status()["state"] == "writing"
    assert sums(server) == expected_sums()
    assert place.stop() == 0
    assert place.status()["state"] == "stopped"


def test_a_bad_token_waits_until_it_is_right(place: Place, server: Influxd) -> None:
    """Nothing is written or lost with a wrong token; once the file is right, the writer goes on by itself."""
    place.fill()
    place.token.write_text("wrong", "utf-8")
    place.start()
    until(lambda: place.status()["state"] == "waiting")
    assert place.status()["code"] == "series_token"
    place.token.write_text(server.token, "utf-8")
    until(place.is_written, 60)
    assert sums(server) == expected_sums()


def test_influxdb_that_hangs(place: Place, server: Influxd) -> None:
    """Stopped in the middle of a request, it neither answers nor refuses: timed out, waited for, then all is there."""
    place.fill(0, FRAMES // 2)
    place.start()
    until(lambda: place.log.committed("series", topics.FRAMES))
    server.send_signal(signal.SIGSTOP)
    place.fill(FRAMES // 2)
    until(lambda: place.status()["state"] == "waiting")
    server.send_signal(signal.SIGCONT)
    until(place.is_written, 60)
    assert sums(server) == expected_sums()


def test_points_of_the_moment(place: Place, server: Influxd, tmp_path: Path) -> None:
    """Topics and lags, the writer's own metrics scraped, and what a gateway says of itself on MQTT."""
    place.fill()
    broker = Mosquitto(tmp_path).start()
    place.configure(broker.port)
    gateway = make_chain(3, 1, 1).signer.public.gateway_id
    try:
        place.start()
        until(lambda: place.log.committed("series", topics.FRAMES))
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        status = json.dumps({"state": "online", "frames_waiting": 5, "time_ms": wall_ms()})
        topic = gateway_topic("bench", gateway, "status")
        client.publish(topic, b"no status", qos=1).wait_for_publish(10)
        client.publish(topic, status, qos=1, retain=True).wait_for_publish(10)
        until(lambda: server.rows("SELECT * FROM status"))
        (row,) = server.rows("SELECT * FROM status")
        assert (row["gateway"], row["tenant"], row["online"], row["outbox_frames"]) == ("g3", "bench", 1, 5)
        own = "SELECT last(value) AS v FROM metric WHERE \"name\" = 'lading_series_points_total' AND stage = 'series'"
        until(lambda: (rows := server.rows(own)) and rows[0]["v"] > ALL)
        frames = f"topic = '{topics.FRAMES}'"
        (end,) = server.rows(f'SELECT last("end") AS n FROM topic WHERE {frames}')
        assert end["n"] == GATEWAYS * FRAMES
        until(
            lambda: server.rows(f"SELECT last(records) AS n FROM lag WHERE {frames} AND \"group\" = 'series'")
        )
        client.disconnect()
        client.loop_stop()
    finally:
        broker.stop()
