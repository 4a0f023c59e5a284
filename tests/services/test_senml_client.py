"""Promise: packs of a public SenML library, in JSON and CBOR, come out of the gateway's frames as they went in."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.quantities import DERIVED
from lading.topics import gateway_topic
from tests.services.clients import PublicClient
from tests.services.mosquitto import Mosquitto
from tests.services.test_edge_run import TENANT, Site, check_frames
from tests.waiting import until

LIMIT_S = 60.0
SENSORS = [("temp", "Cel", 1), ("humid", "%RH", 2), ("door", "open", 3)]
SITE = "flush_s = 1\n[[edge.gateways]]\nname = 'gw'\nsource = 'senml'\n" + "".join(
    f"[[edge.gateways.sensor]]\nname = 'urn:dev:ow:1:{name}'\nunit = '{unit}'\nchannel = {channel}\n"
    for name, unit, channel in SENSORS
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    broker = Mosquitto(tmp_path, log_type="subscribe").start()
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", broker, SITE, ("gw",))
    process = site.start()
    until(lambda: "/senml" in broker.log, LIMIT_S)
    yield site
    process.kill()
    process.communicate()
    site.client.disconnect()
    broker.stop()


def test_kpn_senml(site: Site) -> None:
    """Base name, time and unit; floats, integers and booleans; the same times and values by either encoding."""
    maker = PublicClient("kpn-senml")
    begin_s = int(time.time()) - 600
    topic = gateway_topic(TENANT, site.keys["gw"].public.gateway_id, "senml")
    for number, encoding in enumerate((0, 1)):
        time_s = begin_s + 10 * number  # the library takes the base time from them
        records = [
            ["temp", {"value": 4.1 + number, "unit": "Cel", "time": time_s}],
            ["temp", {"value": -3, "unit": "Cel", "time": time_s + 5}],
            ["humid", {"value": 55.5, "time": time_s}],
            ["door", {"value": True, "time": time_s}],
        ]
        made = maker.ask(base="urn:dev:ow:1:", time=begin_s, unit="%RH", records=records)[encoding]
        payload = bytes.fromhex(made) if encoding else made.encode()
        site.client.publish(topic, payload, qos=1).wait_for_publish(10)
    until(lambda: sum(frame.reading_count for frame in site.of("gw")) == 8, LIMIT_S)
    found = check_frames(site, "gw")
    begin_ms = 1000 * begin_s
    assert [(one.time_ms - begin_ms, one.value) for one in found[1]] == [
        (0, 4_100), (5_000, -3_000), (10_000, 5_100), (15_000, -3_000),
    ]  # fmt: skip
    assert [(one.time_ms - begin_ms, one.value) for one in found[2]] == [(0, 55_500), (10_000, 55_500)]
    assert [(one.time_ms - begin_ms, one.value) for one in found[3]] == [(0, 1_000), (10_000, 1_000)]
    assert {one.flags for readings in found.values() for one in readings} == {DERIVED}
    maker.kill()
