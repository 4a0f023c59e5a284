"""Promises of `lading edge run`: whole processes over a real broker, killed and restarted, end in the same frames."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.cli import _load, _outbox_path, build
from edge.meters import why_failing
from edge.outbox import Outbox
from lading.assignment import END
from lading.cose import KeySigner
from lading.decoding import decode_frame
from lading.errors import ServiceError
from lading.frame import CLOSED, Frame
from lading.quantities import CLOCK, DERIVED, FAULT
from lading.topics import gateway_topic
from tests.gateways import OPERATOR, TENANT, order
from tests.services.brokers import AnyBroker
from tests.waiting import until

LIMIT_S = 60.0
REPOSITORY = Path(__file__).parents[2]
SIMULATED = """
seed = 7
speed = {speed}
begin = 2025-06-16T00:00:00Z
end = 2025-06-16T06:00:00Z
flush_s = 600
drill_salts = true
[[edge.gateways]]
name = "truck"
source = "reefer"
[[edge.gateways.story]]
kind = "sensor-fault"
begin = 2025-06-16T01:00:00Z
end = 2025-06-16T01:10:00Z
[[edge.gateways.story]]
kind = "clock-unset"
begin = 2025-06-16T02:00:00Z
end = 2025-06-16T02:30:00Z
[[edge.gateways]]
name = "room"
source = "cold-room"
"""


class Site:
    """A folder with settings and keys, and what a listener at the broker got."""

    def __init__(self, folder: Path, broker: AnyBroker, edge: str, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.frames: list[bytes] = []
        (folder / "data" / "keys").mkdir(parents=True)
        self.keys = {name: KeySigner.from_seed(name.encode()) for name in names}
        for name, key in self.keys.items():
            key.save(folder / "data" / "keys" / f"{name}.pem")
        operator = OPERATOR.public.encode().hex()
        (folder / "lading.toml").write_text(
            f'[lading]\ntenant = "{TENANT}"\ndata = "data"\n[mqtt]\nport = {broker.port}\n'
            f'[edge]\noperator = "{operator}"\nlink = {{ protocol = "3.1.1", keep_until = "puback" }}\n{edge}'
        )
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="site", clean_session=False)
        self.client.on_message = lambda _c, _d, message: self.frames.append(message.payload)
        self.client.connect("127.0.0.1", broker.port)
        self.client.subscribe(f"lading/v1/{TENANT}/+/frames", 1)
        self.client.loop_start()

    def command(self, *more: str) -> list[str]:
        run = "import sys; from lading.cli import cli; cli(sys.argv[1:])"
        return [
            sys.executable,
            "-c",
            run,
            "edge",
            more[0],
            "--config",
            str(self.folder / "lading.toml"),
            *more[1:],
        ]

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command("run", "--once"), cwd=REPOSITORY, stderr=subprocess.PIPE)

    def finish(self, process: "subprocess.Popen[bytes]") -> str:
        _, log = process.communicate(timeout=120)
        assert process.returncode == 0, log.decode()[-2000:]
        return log.decode()

    def retain(self, name: str, payload: bytes) -> None:
        topic = gateway_topic(TENANT, self.keys[name].public.gateway_id, "assignment")
        self.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)

    def of(self, name: str) -> list[Frame]:
        """The gateway's frames, each once, in order."""
        frames = {data: decode_frame(data) for data in self.frames}
        own = [f for f in frames.values() if f.header.gateway_id == self.keys[name].public.gateway_id]
        found = {frame.header.frame_seq: frame for frame in own}
        assert len(found) == len(own), "two different frames with one number"
        return [found[seq] for seq in sorted(found)]


def contents(site: Site, name: str) -> list[list[tuple]]:
    """What a gateway's frames say, but for when they were signed."""
    return [[(run.record.channel, run.salt, run.readings) for run in frame.runs] for frame in site.of(name)]


def test_a_killed_process_ends_in_the_same_frames(tmp_path: Path, any_broker: AnyBroker) -> None:
    """Killed six times at random instants and restarted: the same readings in the same frames as undisturbed."""
    rng = random.Random(5)
    (tmp_path / "calm").mkdir()
    (tmp_path / "wild").mkdir()
    calm = Site(tmp_path / "calm", any_broker, SIMULATED.format(speed=0), ("truck", "room"))
    calm.finish(calm.start())
    until(lambda: len(calm.of("truck")) == 37 and len(calm.of("room")) == 37, LIMIT_S)
    expected = {name: contents(calm, name) for name in ("truck", "room")}
    calm.client.disconnect()

    wild = Site(tmp_path / "wild", any_broker, SIMULATED.format(speed=4000), ("truck", "room"))
    for _ in range(6):
        process = wild.start()
        assert process.stderr is not None
        while b"gateway_opened" not in process.stderr.readline():
            pass
        time.sleep(rng.uniform(0.0, 1.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    wild.finish(wild.start())
    until(lambda: len(wild.of("truck")) >= 37 and len(wild.of("room")) >= 37, LIMIT_S)
    assert {name: contents(wild, name) for name in ("truck", "room")} == expected
    readings = check_frames(wild, "truck")
    assert len(readings[1]) == 6 * 60 + 1
    assert sum(1 for reading in readings[1] if reading.flags & FAULT) == 10
    assert sum(1 for reading in readings[1] if reading.flags & CLOCK) == 30
    wild.client.disconnect()


def check_frames(site: Site, name: str) -> dict:
    previous, readings = bytes(32), {}
    for seq, frame in enumerate(site.of(name)):
        assert (frame.header.frame_seq, frame.header.previous_hash) == (seq, previous)
        previous = frame.header.hash
        for run in frame.runs:
            readings.setdefault(run.record.channel, []).extend(run.readings)
    for found in readings.values():
        assert [reading.seq for reading in found] == list(range(len(found)))
    return readings


def test_sigterm_ends_cleanly(tmp_path: Path, any_broker: AnyBroker) -> None:
    """SIGTERM: exit code 0, status offline, nothing lost; status shows what waits."""
    site = Site(tmp_path, any_broker, SIMULATED.format(speed=600), ("truck", "room"))
    process = site.start()
    until(lambda: len(site.of("truck")) > 2, LIMIT_S)
    process.send_signal(signal.SIGTERM)
    site.finish(process)
    shown = subprocess.run(site.command("status", "--json"), cwd=REPOSITORY, capture_output=True, check=True)
    status = json.loads(shown.stdout)
    assert status["truck"]["frame_seq_next"] >= len(site.of("truck"))
    assert status["truck"]["leg"] == "idle"
    site.client.disconnect()


def test_senml_sensors_come_in_as_derived_readings(tmp_path: Path, any_broker: AnyBroker) -> None:
    """A pack on the gateway's senml topic becomes readings of a leg that is begun and ended by orders."""
    edge = """
flush_s = 1
[[edge.gateways]]
name = "gw"
source = "senml"
[[edge.gateways.sensor]]
name = "urn:dev:ow:1:temp"
unit = "Cel"
channel = 1
[[edge.gateways.sensor]]
name = "urn:dev:ow:1:door"
unit = "open"
channel = 2
"""
    site = Site(tmp_path, any_broker, edge, ("gw",))
    gateway = site.keys["gw"].public.gateway_id
    site.retain("gw", order(1, gateway=gateway))
    process = site.start()
    until(lambda: site.of("gw"), LIMIT_S)
    pack = b'[{"bn":"urn:dev:ow:1:","n":"temp","u":"Cel","v":4.5},{"n":"door","vb":true},{"n":"odd","u":"Cel","v":1}]'
    site.client.publish(gateway_topic(TENANT, gateway, "senml"), pack, qos=1).wait_for_publish(10)
    until(lambda: any(frame.reading_count for frame in site.of("gw")), LIMIT_S)
    site.retain("gw", end_order_for(gateway))
    until(lambda: site.of("gw")[-1].header.leg_state == CLOSED, LIMIT_S)
    process.send_signal(signal.SIGTERM)
    log = site.finish(process)
    readings = check_frames(site, "gw")
    assert [(r.value, r.flags) for r in readings[1] + readings[2]] == [(4_500, DERIVED), (1_000, DERIVED)]
    assert "senml_sensor" in log
    site.client.disconnect()


def end_order_for(gateway: bytes) -> bytes:
    return order(2, END, gateway=gateway)


def test_a_recording_is_replayed_at_full_speed(tmp_path: Path, any_broker: AnyBroker) -> None:
    """Two devices of a csv become two gateways: error codes are faults, times that run back flagged, lines named."""
    lines = [b"timestamp,value,id"]
    for k in range(500):
        stamp = b"2021-04-20 %02d:%02d:00" % (k // 60, k % 60)
        lines += [stamp + b",%d.5,a" % (k % 10), stamp + b",-127.0,b"]
    lines.insert(400, b"\0\0\0\0")
    lines.append(b"2021-04-20 00:30:00,9,a")
    (tmp_path / "log.csv").write_bytes(b"\n".join(lines))
    (tmp_path / "map.toml").write_text(
        '[csv]\nsensor = "id"\nfaults = [-127]\n'
        '[[gateway]]\nname = "one"\n[[gateway.channel]]\nchannel = 1\nsensor = "a"\nunit = "°C"\n'
        '[[gateway]]\nname = "two"\n[[gateway.channel]]\nchannel = 1\nsensor = "b"\nunit = "°C"\n'
    )
    edge = 'speed = 0\nreplay = { paths = ["log.csv"], map = "map.toml" }\n'
    site = Site(tmp_path, any_broker, edge, ("one", "two"))
    log = site.finish(site.start())
    until(lambda: sum(f.reading_count for n in ("one", "two") for f in site.of(n)) == 1_001, LIMIT_S)
    one, two = check_frames(site, "one")[1], check_frames(site, "two")[1]
    assert (len(one), one[-1].flags, one[-1].time_ms) == (501, CLOCK, one[-2].time_ms + 1)
    assert {reading.flags for reading in two} == {FAULT}
    assert log.count("line_not_taken") == 1
    assert "log.csv:401" in log
    site.client.disconnect()


def test_keygen_makes_a_private_key_once(tmp_path: Path) -> None:
    """Mode 0600, id and key on stdout; an existing file is never overwritten."""
    run = "import sys; from lading.cli import main; sys.argv = ['lading', *sys.argv[1:]]; main()"
    path = tmp_path / "keys" / "gw.pem"
    command = [sys.executable, "-c", run, "edge", "keygen", str(path)]
    made = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    shown = json.loads(made.stdout)
    assert shown["gateway"] == KeySigner.load(path).public.gateway_id.hex()
    assert os.stat(path).st_mode & 0o777 == 0o600
    again = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    assert again.returncode != 0
    assert b"Traceback" not in again.stderr


@pytest.mark.parametrize("is_content_bad", [False, True])
def test_a_gateway_whose_outbox_does_not_open_stops_no_other(
    tmp_path: Path, any_broker: AnyBroker, is_content_bad: bool
) -> None:
    """It is named, and opened later; only a run that is to end by itself does not begin without it."""
    site = Site(tmp_path, any_broker, SIMULATED.format(speed=0), ("truck", "room"))
    shared, own = _load(tmp_path / "lading.toml")
    path = _outbox_path(shared, own, "truck")
    Outbox(path, site.keys["truck"].public.gateway_id).close()
    whole = path.read_bytes()
    if is_content_bad:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE state SET leg = x'00'")
    else:
        path.write_bytes(bytes(len(whole)))
    with pytest.raises(ServiceError, match="outbox"):
        build(shared, own)
    edge = build(shared, own, may_lack=True)
    edge.start()
    until(lambda: (edge.step(), site.of("room"))[1], LIMIT_S)
    assert why_failing([*edge.runners, *edge.unopened]).startswith("truck: ")
    edge._open_due_s = 0.0
    edge.step()
    assert why_failing([*edge.runners, *edge.unopened]).startswith("truck: ")
    path.write_bytes(whole)
    edge._open_due_s = 0.0
    until(lambda: (edge.step(), site.of("truck"))[1], LIMIT_S)
    assert why_failing([*edge.runners, *edge.unopened]) == ""
    edge.stop()
    site.client.disconnect()
