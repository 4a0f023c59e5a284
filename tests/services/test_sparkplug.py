"""Promises of the Sparkplug source, over a real Mosquitto and with public libraries as publishers."""

import json
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.gateway import Gateway
from edge.outbox import Outbox
from edge.sparkplug.listener import SparkplugListener
from edge.sparkplug.values import Sensor
from lading.cose import KeySigner
from lading.mqtt import Broker
from lading.quantities import DERIVED
from lading.totals import Reading
from tests.failing import locked
from tests.gateways import OPERATOR, T0_MS
from tests.services.clients import PublicClient
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.services.test_edge_run import REPOSITORY, TENANT, Site, check_frames
from tests.unit.edge.sparkplug_proto import bd_seq, message
from tests.waiting import until

LIMIT_S = 60.0
SITE = """
flush_s = 1
[[edge.gateways]]
name = "gw"
source = "sparkplug"
sparkplug = { host_id = "lading-test", history_s = 0, reorder_s = 0.2 }
[[edge.gateways.sensor]]
name = "Cold/Room 7/Rack A/air/temperature"
unit = "Cel"
channel = 1
[[edge.gateways.sensor]]
name = "Cold/Room 7/Rack A/door"
unit = "open"
channel = 2
[[edge.gateways.sensor]]
name = "Cold/Room 7//supply"
unit = "mV"
channel = 3
[[edge.gateways.sensor]]
name = "Wrap/Node/Rack/DATA/air"
unit = "Cel"
channel = 4
[[edge.gateways.sensor]]
name = "Wrap/Node/Rack/DATA/door"
unit = "open"
channel = 5
[[edge.gateways.sensor]]
name = "Wrap/Node//DATA/supply"
unit = "mV"
channel = 6
"""


@pytest.fixture
def hearing(broker: Mosquitto) -> Iterator[Client]:
    client = Client(broker.port, "hearing", "spBv1.0/#", clean=True)
    yield client
    client.close()


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto, hearing: Client) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", broker, SITE, ("gw",))
    site.process = site.start()
    until(lambda: True in states(hearing), LIMIT_S)
    yield site
    site.process.kill()
    site.process.communicate()
    site.client.disconnect()


def said_of_host(hearing: Client) -> list[dict]:
    """In order."""
    return [json.loads(one.payload) for one in hearing.got if one.topic == "spBv1.0/STATE/lading-test"]


def documented_rights() -> list[str]:
    """What docs/gateway.md says that the gateway's user needs."""
    text = (REPOSITORY / "docs" / "gateway.md").read_text("utf-8")
    found = re.findall(r"`((?:read|write|readwrite) spBv1\.0/[^`]*)`", text)
    return [f"topic {one}".replace("GROUP", "Cold").replace("HOST_ID", "lading-test") for one in found]


def states(hearing: Client) -> list[bool]:
    return [said["online"] for said in said_of_host(hearing)]


def readings(site: Site) -> dict[int, list[tuple[int, int, int]]]:
    """(time, value, flags) by channel."""
    return {
        channel: [(one.time_ms, one.value, one.flags) for one in found]
        for channel, found in check_frames(site, "gw").items()
    }


def count(site: Site) -> int:
    return sum(frame.reading_count for frame in site.of("gw"))


def rack(time_ms: int, celsius: float, is_open: bool, **more: object) -> list:
    return [
        ["air/temperature", "FLOAT", celsius, time_ms, {"alias": 1, **more}],
        ["door", "BOOLEAN", is_open, time_ms, {"alias": 2, **more}],
        ["model", "STRING", "x", time_ms, {"alias": 3}],
    ]


def air(celsius: float, time_ms: int) -> dict:
    return {"alias": 1, "type": "Float", "value": celsius, "timestamp": time_ms, "is_born": False}


def test_pysparkplug(site: Site, broker: Mosquitto) -> None:
    """Births, data, deaths of pysparkplug come out as frames with the same values and times, flagged DERIVED."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.1, False))
    until(lambda: count(site) == 3, LIMIT_S)
    plant.ask("data", metrics=rack(t + 1_000, -0.35, True))
    plant.ask("own_data", metrics=[["supply", "UINT32", 12_050, t + 1_500, {}]])
    plant.ask("data", metrics=rack(t + 2_000, 4.3, False))
    until(lambda: count(site) == 8, LIMIT_S)
    assert readings(site) == {
        1: [(t, 4_100, DERIVED), (t + 1_000, -350, DERIVED), (t + 2_000, 4_300, DERIVED)],
        2: [(t, 0, DERIVED), (t + 1_000, 1_000, DERIVED), (t + 2_000, 0, DERIVED)],
        3: [(t, 11_900, DERIVED), (t + 1_500, 12_050, DERIVED)],
    }
    plant.kill()


def test_mqtt_spb_wrapper(site: Site, broker: Mosquitto) -> None:
    """The same with mqtt-spb-wrapper: names without aliases, `DATA/` before those in births, QoS 1 as well."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("mqtt-spb-wrapper", broker.port, "Wrap", "Node", "Rack")
    air = [["air", 4.1, t, None], ["door", False, t, None], ["label", "x", t, None]]
    plant.ask("birth", own=[["supply", 11_900, t, None]], metrics=air)
    until(lambda: count(site) == 3, LIMIT_S)
    plant.ask("data", metrics=[["air", -0.35, t + 1_000, None], ["door", True, t + 1_000, None]])
    plant.ask("own_data", metrics=[["supply", 12_050, t + 1_500, None]], qos=1)
    plant.ask("data", metrics=[["air", 4.3, t + 2_000, None]], qos=1)
    until(lambda: count(site) == 7, LIMIT_S)
    assert readings(site) == {
        4: [(t, 4_100, DERIVED), (t + 1_000, -350, DERIVED), (t + 2_000, 4_300, DERIVED)],
        5: [(t, 0, DERIVED), (t + 1_000, 1_000, DERIVED)],
        6: [(t, 11_900, DERIVED), (t + 1_500, 12_050, DERIVED)],
    }
    plant.ask("end")
    plant.kill()


def test_aliases_of_mqtt_spb_wrapper(site: Site, broker: Mosquitto) -> None:
    """With an alias its data carries a name besides that no birth has; the alias counts."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("mqtt-spb-wrapper", broker.port, "Wrap", "Node", "Rack")
    plant.ask("birth", own=[["supply", 11_900, t, 7]], metrics=[["air", 4.1, t, 1], ["door", False, t, 2]])
    until(lambda: count(site) == 3, LIMIT_S)
    plant.ask("data", metrics=[["air", 5.25, t + 1_000, 1]])
    until(lambda: count(site) == 4, LIMIT_S)
    assert readings(site)[4] == [(t, 4_100, DERIVED), (t + 1_000, 5_250, DERIVED)]
    plant.kill()


def test_a_lost_message_brings_a_rebirth(site: Site, broker: Mosquitto) -> None:
    """What comes after a hole in the sequence does not count until the node was born again; then all goes on."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.0, False))
    until(lambda: count(site) == 3, LIMIT_S)
    plant.ask("skip")
    plant.ask("data", metrics=rack(t + 1_000, 6.5, False))
    until(lambda: plant.ask("rebirths") == 1, LIMIT_S)
    until(lambda: count(site) == 5, LIMIT_S)  # the births say what the message said; `supply` is as it was
    plant.ask("data", metrics=rack(t + 2_000, 4.5, False))
    until(lambda: count(site) == 7, LIMIT_S)
    assert readings(site)[1] == [
        (t, 4_000, DERIVED),
        (t + 1_000, 6_500, DERIVED),
        (t + 2_000, 4_500, DERIVED),
    ]
    plant.kill()


def test_a_restarted_gateway_asks_for_births(site: Site, broker: Mosquitto) -> None:
    """Killed and started again it knows no aliases; it asks, and takes no value twice."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.0, False))
    until(lambda: count(site) == 3, LIMIT_S)
    site.process.kill()
    site.process.communicate()
    plant.ask("data", metrics=rack(t + 1_000, 4.1, False))  # nobody hears it
    site.process = site.start()
    until(lambda: plant.ask("rebirths") == 1, LIMIT_S)
    until(lambda: count(site) == 5, LIMIT_S)
    plant.ask("data", metrics=rack(t + 2_000, 4.2, True))
    until(lambda: count(site) == 7, LIMIT_S)
    assert readings(site) == {
        1: [(t, 4_000, DERIVED), (t + 1_000, 4_100, DERIVED), (t + 2_000, 4_200, DERIVED)],
        2: [(t, 0, DERIVED), (t + 1_000, 0, DERIVED), (t + 2_000, 1_000, DERIVED)],
        3: [(t, 11_900, DERIVED)],
    }
    plant.kill()


def test_the_host_says_whether_it_is_there(site: Site, hearing: Client, broker: Mosquitto) -> None:
    """STATE: retained, online with the will's time, offline by the will when killed, and by itself on SIGTERM.

    Whoever says falsely that it is offline is contradicted.
    """
    assert states(hearing) == [True]
    liar = Client(broker.port, "liar", clean=True)
    liar.send("spBv1.0/STATE/lading-test", b'{"online":false,"timestamp":1}', retain=True)
    until(lambda: states(hearing) == [True, False, True], LIMIT_S)
    late = Client(broker.port, "late", "spBv1.0/STATE/#", clean=True)
    until(lambda: states(late) == [True], LIMIT_S)
    site.process.kill()
    until(lambda: states(hearing)[3:] == [False], LIMIT_S)
    times = [said["timestamp"] for said in said_of_host(hearing)]
    assert times[0] == times[2] == times[3], "a birth and its will have one time"
    site.process.communicate()
    site.process = site.start()
    until(lambda: states(hearing)[3:] == [False, True], LIMIT_S)
    site.process.send_signal(signal.SIGTERM)
    site.finish(site.process)
    assert states(hearing)[3:] == [False, True, False]
    liar.close()
    late.close()


def test_garbage_does_not_end_it(site: Site, broker: Mosquitto) -> None:
    """Noise, cut messages, lengths without end, floods, huge payloads: named, and the true node goes on meanwhile."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.0, False))
    until(lambda: count(site) == 3, LIMIT_S)
    enemy = Client(broker.port, "enemy", clean=True)
    rng = random.Random(3)
    noise = [rng.randbytes(rng.randrange(200)) for _ in range(300)]
    noise += [b"\x12" + b"\xff" * 9 + b"\x01", b"\x12\x00" * 20_000, bytes(2**20 + 1), b"\x0a" * 70_000]
    kinds = (
        "NBIRTH/other",
        "NDATA/other",
        "DDATA/other/Rack A",
        "NDEATH/Room 7",
        "DDATA/Room 7/Rack A",
        "STATE/x",
    )
    for kind in kinds:  # not NCMD: that would end pysparkplug's thread
        enemy.send(f"spBv1.0/Cold/{kind}", *noise)
    enemy.send("spBv1.0/STATE/lading-test", *noise[:20])
    for second in (1, 2, 3):
        plant.ask("data", metrics=rack(t + 1_000 * second, 4.0 + second, True))
        until(lambda s=second: (t + 1_000 * s, 4_000 + 1_000 * s, DERIVED) in readings(site)[1], LIMIT_S)
    assert len(readings(site)[1]) == 4
    site.process.send_signal(signal.SIGTERM)
    log = site.finish(site.process)
    assert "Traceback" not in log
    assert "sparkplug_payload" in log
    plant.kill()
    enemy.close()


def test_a_killed_node_is_a_gap(site: Site, broker: Mosquitto) -> None:
    """SIGKILL: the broker publishes the will; what a stranger says in its name afterwards is no reading."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.0, False))
    until(lambda: count(site) == 3, LIMIT_S)
    hearing = Client(broker.port, "deaths", "spBv1.0/Cold/NDEATH/+", clean=True)
    plant.kill()
    until(lambda: hearing.got, LIMIT_S)
    stranger = Client(broker.port, "stranger", clean=True)
    stranger.send("spBv1.0/Cold/DDATA/Room 7/Rack A", message(air(9.0, t + 500), seq=2))
    again = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    again.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t + 1_000, 4.2, False))
    until(lambda: count(site) == 5, LIMIT_S)
    assert readings(site)[1] == [(t, 4_000, DERIVED), (t + 1_000, 4_200, DERIVED)]
    again.kill()
    stranger.close()
    hearing.close()


def test_a_broker_that_dies(site: Site, broker: Mosquitto, hearing: Client) -> None:
    """Killed and started again: the host is online again, births are asked for, readings go on. No value twice."""
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.0, False))
    until(lambda: count(site) == 3, LIMIT_S)
    hearing.close()
    plant.kill()
    broker.kill()
    broker.start()
    late = Client(broker.port, "late", "spBv1.0/STATE/#", clean=True)
    until(lambda: True in states(late), LIMIT_S)
    again = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    again.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t + 1_000, 4.2, False))
    until(site.client.is_connected, LIMIT_S)
    site.client.subscribe(f"lading/v1/{TENANT}/+/frames", 1)  # the broker has forgotten that
    until(lambda: count(site) >= 5, LIMIT_S)
    assert readings(site)[1] == [(t, 4_000, DERIVED), (t + 1_000, 4_200, DERIVED)]
    again.kill()
    late.close()


def test_the_documented_rights_are_enough(tmp_path: Path) -> None:
    """On a broker with an access list, as a user with exactly those: births, rebirths, STATE and its will."""
    broker = Mosquitto(tmp_path)
    rights = ["topic readwrite #", "user gateway", *documented_rights(), ""]
    assert len(rights) == 6
    broker.acl.write_text("\n".join(rights))
    with (broker.folder / "config" / "listener" / "listener.conf").open("a") as file:
        file.write(f"acl_file {broker.acl}\n")
    broker.start()
    hearing = Client(broker.port, "hearing", "spBv1.0/#", clean=True)
    (tmp_path / "site").mkdir()
    local = f'local = {{ host = "127.0.0.1", port = {broker.port}, user = "gateway" }}\n'
    site = Site(tmp_path / "site", broker, local + SITE, ("gw",))
    process = site.start()
    until(lambda: states(hearing) == [True], LIMIT_S)
    t = int(time.time() * 1000) - 60_000
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=rack(t, 4.0, False))
    until(lambda: count(site) == 3, LIMIT_S)
    plant.ask("skip")
    plant.ask("data", metrics=rack(t + 1_000, 6.5, False))
    until(lambda: plant.ask("rebirths") == 1 and count(site) == 5, LIMIT_S)
    process.kill()
    until(lambda: states(hearing) == [True, False], LIMIT_S)
    process.communicate()
    plant.kill()
    site.client.disconnect()
    hearing.close()
    broker.stop()


class Heard:
    """A gateway of one channel that hears an edge node's metric, in this process."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        key = KeySigner.from_seed(b"gw")
        self.path = folder / "outbox.sqlite"
        self.outbox = Outbox(self.path, key.public.gateway_id)
        self.gateway = Gateway(self.outbox, key, OPERATOR.public, TENANT, {1: 1})
        self.told: list[str] = []
        self.listener = SparkplugListener(
            self.gateway,
            Broker("127.0.0.1", broker.port),
            "host",
            [Sensor("G/N//air", "Cel", 1)],
            lambda what, exc: self.told.append(f"{what} {exc.code}"),
            0,
            reorder_ms=100,
            history_ms=0,
            may_ask=False,
        )
        self.listener.start()
        self.node = Client(broker.port, "node", "spBv1.0/STATE/host", clean=True)
        until(lambda: self.node.got, LIMIT_S)

    def say(self, kind: str, time_ms: int, seq: int) -> None:
        """The node says 4.5 °C."""
        metric = {"name": "air", "type": "Float", "value": 4.5, "timestamp": time_ms}
        self.node.send(
            f"spBv1.0/G/{kind}/N", message(*([bd_seq(0)] if kind == "NBIRTH" else []), metric, seq=seq)
        )

    def until(self, condition: Callable[[], object], clock_ms: int = T0_MS) -> None:
        """Step until something is so."""
        until(lambda: (self.listener.step(T0_MS, clock_ms), condition())[1], LIMIT_S)

    def close(self) -> None:
        self.listener.stop()
        self.outbox.close()
        self.node.close()


@pytest.fixture
def heard(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setattr("edge.outbox.LOCK_WAIT_MS", 50)
    heard = Heard(tmp_path, broker)
    yield heard
    heard.close()


def test_a_clock_that_is_set_after_the_start(heard: Heard) -> None:
    """A machine that starts three hours behind refuses its sensors' times as ahead, until its clock is set right."""
    right_ms = T0_MS + 3 * 3_600_000
    heard.say("NBIRTH", right_ms, 0)
    heard.until(lambda: heard.told)
    heard.say("NBIRTH", right_ms, 1)
    heard.until(lambda: heard.gateway.last_ms(1) == right_ms, right_ms)
    assert heard.told == ["sparkplug_refused sparkplug_time"]


def test_readings_wait_for_the_outbox(heard: Heard) -> None:
    """Nobody says them again: while it cannot be written they wait, then they come in as they were said."""
    with locked(heard.path):
        heard.say("NBIRTH", T0_MS, 0)
        heard.until(lambda: heard.told)
        heard.say("NDATA", T0_MS + 1_000, 1)
        heard.until(lambda: len(heard.listener._waiting) == 2)
        heard.say("NBIRTH", T0_MS + 1_000, 2)  # asked for, it says again what waits
        heard.until(lambda: heard.listener._host._nodes["G", "N"]._next_seq == 3)
        assert heard.listener.failure is not None
    heard.until(lambda: heard.gateway.pending_count)
    assert heard.listener.failure is None
    assert heard.outbox.load().pending == {
        1: [Reading(n, T0_MS + 1_000 * n, 4_500, DERIVED) for n in range(2)]
    }
    assert (heard.told, heard.gateway.refused_count) == (["sparkplug_waits outbox"], 0)


def test_what_found_no_room_may_be_born_again(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded; what is refused then is not known to anybody, and its node may say it once more."""
    monkeypatch.setattr("edge.sparkplug.listener.WAITING_MAX", 0)
    with locked(heard.path):
        heard.say("NBIRTH", T0_MS, 0)
        heard.until(lambda: heard.told)
    assert heard.told == ["sparkplug_waits outbox", "sparkplug_refused sparkplug_waiting"]
    assert heard.gateway.refused_count == 1
    heard.say("NBIRTH", T0_MS, 1)
    heard.until(lambda: heard.gateway.last_ms(1) == T0_MS)
