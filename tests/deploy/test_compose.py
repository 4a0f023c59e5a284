"""Promise: docker-compose.yml is one that Compose takes, and every service of it is closed as far as it can be.

No engine is here: that the images start is not shown.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import compose

SERVERS = ("mosquitto", "kafka", "influxdb", "grafana", "anvil")
STAGES = ("edge", "ingest", "archive", "anomaly", "anchoring", "settle", "series")


def _changed(tmp_path: Path, old: str, new: str) -> Path:
    text = compose.FILE.read_text()
    assert text.count(old) >= 1
    path = tmp_path / "docker-compose.yml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_compose_takes_it() -> None:
    """Compose's own check passes, with no warning, and finds every service that there is to be."""
    done = compose.config(compose.FILE, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(SERVERS) | set(STAGES) | set(compose.ONE_SHOTS) <= set(compose.services())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("condition: service_healthy", "condition: service_health", "condition"),
        ("mosquitto: {condition", "mosquito: {condition", "mosquito"),
        ("    networks: [field]\n", "    networks: [fields]\n", "fields"),
        ("influxdb:/var/lib/influxdb2", "influx:/var/lib/influxdb2", "influx"),
        ('    user: "1883:1883"\n', '    usr: "1883:1883"\n', "usr"),
    ],
    ids=["a condition", "a service waited for", "a network", "a volume", "a key"],
)
def test_composes_check_finds_what_is_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    """The check is one: a name that is nowhere is refused, and told."""
    done = compose.config(_changed(tmp_path, old, new), "--quiet")
    assert done.returncode != 0
    assert said in done.stderr


def test_the_specifications_schema_takes_it() -> None:
    """The Compose specification's JSON schema, by another program."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, compose.FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_no_version_key() -> None:
    """Compose v2 warns of one."""
    assert not re.search(r"^version:", compose.FILE.read_text(), re.MULTILINE)


def _all() -> list[str]:
    """Service names without the program, so that a missing one is told test by test."""
    text = compose.FILE.read_text().split("\nservices:\n")[1].split("\nnetworks:\n")[0]
    return re.findall(r"^  ([a-z]+):(?: #.*)?$", text, re.MULTILINE)


@pytest.mark.parametrize("name", _all())
def test_a_service_is_pinned_and_closed(name: str) -> None:
    """An exact tag; no root, no capabilities, no new privileges, nothing written but where it is mounted; bounds."""
    service = compose.services()[name]
    tag = service["image"].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), service["image"]
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert int(service["mem_limit"]) > 0
    assert service["pids_limit"] > 0
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert service["stop_grace_period"]
    assert service["restart"] == ("no" if name in compose.ONE_SHOTS else "unless-stopped")


@pytest.mark.parametrize("name", _all())
def test_a_service_says_whether_it_is_well(name: str) -> None:
    """A health check for each that stays; the stages' is the image's, and asks where LADING_READY says."""
    service = compose.services()[name]
    if name in compose.ONE_SHOTS:
        assert service["healthcheck"] == {"disable": True}
    elif name in compose.stages():
        assert service["environment"]["LADING_READY"].endswith("/readyz")
    else:
        check = service["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@pytest.mark.parametrize("name", _all())
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    """Each dependency is waited for: healthy where it stays, completed where it ends."""
    for other, how in compose.services()[name].get("depends_on", {}).items():
        ends = other in compose.ONE_SHOTS
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), other


def test_ports_are_on_loopback() -> None:
    """Nothing is published on another address."""
    for name, service in compose.services().items():
        assert service.get("network_mode") in (None, "none"), name
        for port in service.get("ports", []):
            assert port.get("host_ip") == "127.0.0.1", (name, port)


def test_secrets_are_files() -> None:
    """No variable's name or value looks like a secret, but for the path of one."""
    for name, service in compose.services().items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"pass|secret|token|key", variable, re.IGNORECASE):
                assert re.fullmatch(r"(/run/secrets|[a-z]+/certs)/[a-z_{}.]+", str(value)), (name, variable)
            assert not re.fullmatch(r"[0-9a-fA-F]{32,}|[\w+/=-]{40,}", str(value)), (name, variable)
    for name, secret in compose.project()["secrets"].items():
        assert secret["file"] == str(compose.ROOT / "deploy/secrets" / name)


def test_what_is_mounted_is_in_the_repository() -> None:
    """Every bind is of a file or folder that is here, read only, and never made by the engine."""
    for name, service in compose.services().items():
        for mount in compose.mounts(service, "bind"):
            source = Path(mount["source"]).relative_to(compose.ROOT).as_posix()
            assert (compose.ROOT / source).exists(), (name, source)
            assert mount["read_only"] is True, (name, source)
            assert mount["bind"].get("create_host_path") is not True, (name, source)


def test_each_stage_has_its_own_folder() -> None:
    """A stage writes to folders of its own; the operator's keys and another stage's are not there at all."""
    writers: dict[str, list[str]] = {}
    for name, service in compose.stages().items():
        sources = {one["source"]: one for one in compose.mounts(service, "volume")}
        assert "operator" not in sources, name
        for source, mount in sources.items():
            if not mount.get("read_only"):
                writers.setdefault(source, []).append(name)
    assert "shared" not in writers
    assert {source: names for source, names in writers.items() if len(names) > 1} == {}


def test_only_one_service_builds_the_image_and_none_pulls_it() -> None:
    """`lading:…` of a public registry would be a stranger's."""
    ours = {name: one for name, one in compose.services().items() if one["image"].startswith("lading:")}
    assert [name for name, one in ours.items() if "build" in one] == ["keys"]
    assert {name: one.get("pull_policy") for name, one in ours.items()} == {
        name: None if name == "keys" else "never" for name in ours
    }
    for name in ours:
        assert name == "keys" or "keys" in _before(name), name


def _before(name: str) -> set[str]:
    """What has started before a service, over all steps."""
    found: set[str] = set()
    todo = [name]
    while todo:
        for other in compose.services()[todo.pop()].get("depends_on", {}):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found
