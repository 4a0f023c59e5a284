"""Promises of `lading edge listen`, over a real Mosquitto: it shows what is said, and leaves no trace."""

import json
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from tests.services.clients import PublicClient
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.services.test_edge_run import REPOSITORY, Site

EDGE = '[[edge.gateways]]\nname = "gw"\nsource = "sparkplug"\n'


def test_a_new_site(tmp_path: Path, broker: Mosquitto) -> None:
    """No sensor in the settings yet: births are asked for, and the lines shown run; no STATE, no outbox, no session."""
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", broker, EDGE, ("gw",))
    hearing = Client(broker.port, "hearing", "spBv1.0/#", clean=True)
    plant = PublicClient("pysparkplug", broker.port, "Cold", "Room 7", "Rack A")
    t = int(time.time() * 1000)
    air = ["air/temperature", "FLOAT", 4.1, t, {"alias": 1}]
    plant.ask("birth", own=[["supply", "UINT32", 11_900, t, {}]], metrics=[air])
    run = subprocess.Popen(
        site.command("listen", "--gateway", "gw", "--seconds", "6", "--ask", "--json"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    while run.poll() is None:
        plant.ask("own_data", metrics=[["supply", "UINT32", 11_900, t, {}]])
        time.sleep(0.2)
    said = json.loads(run.communicate()[0])
    assert plant.ask("rebirths") == 1
    shown = {one["name"]: (one["kind"], one["value"], one["channel"]) for one in said["sensors"]}
    assert shown == {
        "Cold/Room 7/Rack A/air/temperature": ("Float", "4.1", None),
        "Cold/Room 7//supply": ("UInt32", "11900", None),
    }
    assert said["unborn"] == []
    assert {one["channel"] for one in tomllib.loads(said["toml"])["edge"]["gateways"]["sensor"]} == {1, 2}
    assert not any("/STATE/" in message.topic for message in hearing.got)
    assert not (site.folder / "data" / "edge").exists()
    plant.kill()
    hearing.close()
    site.client.disconnect()


@pytest.mark.parametrize(("gateway", "reason"), [("other", "wanted one"), ("gw", "broker")])
def test_what_cannot_be_heard_is_named(tmp_path: Path, broker: Mosquitto, gateway: str, reason: str) -> None:
    """An unknown gateway; a broker that is away."""
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", broker, EDGE, ("gw",))
    site.client.disconnect()
    broker.stop()
    command = site.command("listen", "--gateway", gateway, "--seconds", "2")
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert reason in done.stderr + done.stdout


def test_run_without_sensors_says_how_to_find_them(tmp_path: Path, broker: Mosquitto) -> None:
    """A gateway without sensors does not run; the message names the command that shows them."""
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", broker, EDGE, ("gw",))
    site.client.disconnect()
    done = subprocess.run(site.command("run"), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "lading edge listen --gateway" in done.stderr + done.stdout
