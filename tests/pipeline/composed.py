"""The composed installation without an engine: real servers from the files of deploy/, every service of
docker-compose.yml as a process with its container's user, mounts and secrets, started in the order that
`depends_on` gives."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.deploy import compose
from tests.deploy.engine import Engine
from tests.ports import free_port
from tests.services.anvil import anvil
from tests.services.influxd import Influxd
from tests.services.kafka_broker import KafkaBroker
from tests.services.mosquitto import Mosquitto
from tests.waiting import until

START_LIMIT_S = 300.0  # also on a machine with other work
TABLES = {"archive": "INGEST", "series": "DASHBOARDS"}  # where the service's name is not the table's


class Composed:
    """The project as `docker compose --profile chain up` would start it. `settings` are for quick tests."""

    def __init__(self, folder: Path, window_s: int, settings: dict[str, str]) -> None:
        folder.chmod(0o755)  # other users enter it: each service is one
        self.mosquitto = Mosquitto(folder, "tls")
        self.kafka = KafkaBroker(folder / "kafka")
        self.influxdb = Influxd(folder / "influxdb")
        self.ports = {name: free_port() for name in compose.stages()}
        self._stack = ExitStack()
        self.chain = ""
        self._window_s = window_s
        shutil.copy(compose.ROOT / "deploy/secrets.sh", folder)
        subprocess.run([folder / "secrets.sh"], check=True, capture_output=True)
        variables = {"": settings | self._addresses()} | {name: self._port(name) for name in self.ports}
        self.engine = Engine(folder, folder / "secrets", variables)

    def _port(self, name: str) -> dict[str, str]:
        prefix = f"LADING_{TABLES.get(name, name.upper())}_METRICS"
        return {f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(self.ports[name])}

    def _addresses(self) -> dict[str, str]:
        """Hosts and ports, which are this machine's here, and nothing else."""
        scrape = {name: f"http://127.0.0.1:{port}/metrics" for name, port in self.ports.items()}
        return {
            "LADING_MQTT_HOST": "127.0.0.1",
            "LADING_MQTT_PORT": str(self.mosquitto.port),
            "LADING_LOG_BOOTSTRAP": self.kafka.bootstrap,
            "LADING_DASHBOARDS_URL": self.influxdb.url,
            "LADING_DASHBOARDS_SCRAPE": json.dumps(scrape),
        }

    def up(self) -> None:
        """Start everything, each after what it waits for."""
        for name in _order():
            getattr(self, f"_start_{name}", lambda name=name: self._start(name))()

    def down(self) -> None:
        """Stop everything, stages first."""
        self.engine.stop()
        self._stack.close()

    def __enter__(self) -> "Composed":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def lading(self, *arguments: str, given: bytes = b"") -> bytes:
        """`docker compose run --rm -T lading …`, with stdin and stdout."""
        return self.engine.run("lading", arguments, given)

    def json(self, *arguments: str) -> Any:
        """The same with --json."""
        return json.loads(self.lading(*arguments, "--json"))

    def not_ready(self) -> dict[str, str]:
        """What the stages' health checks say, for those that are not well."""
        found = {name: _ready(port) for name, port in self.ports.items()}
        return {name: answer for name, answer in found.items() if answer}

    def _start(self, name: str) -> None:
        if name in compose.ONE_SHOTS:
            self.engine.run(name)
            return
        self.engine.start(name)

    def _start_mosquitto(self) -> None:
        for path in self.engine.volume("broker").iterdir():
            shutil.copy(path, self.mosquitto.certs)
        self._stack.callback(self.mosquitto.stop)
        self.mosquitto.start()

    def _start_kafka(self) -> None:
        self._stack.callback(self.kafka.stop)
        self.kafka.start()

    def _start_influxdb(self) -> None:
        self._stack.callback(self.influxdb.stop)
        self.influxdb.start(set_up=False)
        self.influxdb.token = (self.engine.secrets / "influxdb_admin").read_text()

    def _start_anvil(self) -> None:
        """With the options that the service has, but for its address and where it keeps its state."""
        command = compose.services()["anvil"]["command"]
        skipped = {"--host", "--port", "--state", "--state-interval", "--silent"}
        pairs = zip(command, [*command[1:], ""], strict=True)
        options = [
            word
            for option, value in pairs
            if option.startswith("--") and option not in skipped
            for word in (option, value)
        ]
        self.chain = self._stack.enter_context(anvil(*options))
        self.engine.set_variable("LADING_CHAIN_RPC", self.chain)

    def _start_contracts(self) -> None:
        """With a window of its own, as LADING_WINDOW_S gives it."""
        command = compose.services()["contracts"]["command"]
        assert command[-2:] == ["--window-s", "60"]
        self.engine.run("contracts", [*command[:-1], str(self._window_s)])

    def _start_grafana(self) -> None:
        """There is none to be had here."""


def _order() -> Iterator[str]:
    """Services, each after those it waits for; the operator's commands are no part of `up`."""
    left = {
        name: set(one.get("depends_on", {})) for name, one in compose.services().items() if name != "lading"
    }
    while left:
        free = sorted(name for name, others in left.items() if not others & set(left))
        assert free, f"wait for one another: {sorted(left)}"
        for name in free:
            yield name
            del left[name]


def _ready(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return "" if answer.status == 200 else str(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.read().decode()
    except OSError as exc:
        return str(exc)


def wait(what: str, found: Callable[[], Any], composed: Composed, limit_s: float = START_LIMIT_S) -> Any:
    """Until something is there, or a service ends."""
    answers: list[Any] = []

    def ask() -> bool:
        ended = composed.engine.ended()
        assert not ended, f"{what}: ended: {ended}"
        answers.append(found())
        return bool(answers[-1])

    until(ask, limit_s)
    return answers[-1]
