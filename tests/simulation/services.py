"""What an installation runs on: the embedded parts, or real servers. The stages differ by settings alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from lading.chain import HttpRpc
from lading.errors import ServiceError
from lading.supervise import lading_command
from tests.ports import free_port
from tests.services.anvil import Anvil
from tests.services.influxd import Influxd
from tests.services.kafka_broker import KafkaBroker
from tests.services.mosquitto import Mosquitto
from tests.simulation.parts import CommandPart, Part, ServerPart

STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle")
WEI = 10**24
PARTITIONS = 3
_PATIENCE = {"broker.session.timeout.ms": "6000"}  # a machine under load must not fence its broker
_TABLES = """
[mqtt]
port = {mqtt_port}
[chain]
rpc = "{chain_url}"
"""
_OWN = """
[log]
kind = "kafka"
bootstrap = "{bootstrap}"
partitions = {partitions}
[dashboards]
url = "{influxd_url}"
token_file = "{token}"
"""


class Process(NamedTuple):
    """One process of a stage; `environment` sets it apart from others of the same."""

    stage: str
    environment: Mapping[str, str] = {}


class Services(Protocol):
    """`processes` by name; `parts` by name, started before the stages; `tables` are what the settings say of them.

    `forgetful` parts lose what they know when they are killed: they are stopped for a while instead (SIGSTOP).
    """

    parts: Mapping[str, Part]
    forgetful: frozenset[str]
    tables: str
    mqtt_port: int
    chain_url: str
    protocol: str
    processes: Mapping[str, Process]

    def shown_readings(self) -> int | None:
        """Readings with a value in the time series; None where there is none. The drill's gateways have no faults."""

    def fund(self, addresses: Iterable[bytes]) -> None:
        """Give accounts what their transactions cost."""


class Embedded:
    """The broker and chain that Python alone has, and the log in SQLite."""

    forgetful: frozenset[str] = frozenset()
    protocol = "3.1.1"
    processes: Mapping[str, Process] = {stage: Process(stage) for stage in STAGES}

    def __init__(self, folder: Path, config: Path, ports: tuple[int, int] | None = None) -> None:
        self.ports = self.mqtt_port, chain_port = ports or (free_port(), free_port())
        self.chain_url = f"http://127.0.0.1:{chain_port}"
        self.tables = _TABLES.format(mqtt_port=self.mqtt_port, chain_url=self.chain_url)
        given = ("--config", str(config))
        broker = lading_command("ingest", "broker", *given)
        chain = lading_command("anchoring", "chain", *given, "--port", str(chain_port))
        self.parts: dict[str, Part] = {
            "broker": CommandPart(broker, folder / "broker.log", b"broker_started"),
            "chain": CommandPart(chain, folder / "chain.log", b"chain_serves"),
        }

    def shown_readings(self) -> int | None:
        """See `Services.shown_readings`."""
        return None

    def fund(self, addresses: Iterable[bytes]) -> None:
        """Its genesis has done so."""


class Real:
    """Mosquitto, Kafka, InfluxDB and anvil; two processes share out what can be shared."""

    forgetful = frozenset({"chain"})
    protocol = "5"
    processes: Mapping[str, Process] = Embedded.processes | {
        "ingest-2": Process("ingest", {"LADING_INGEST_CLIENT_ID": "lading-ingest-2"}),
        "anomaly-2": Process("anomaly"),
        "series": Process("dashboards"),
    }

    def __init__(self, folder: Path, _config: Path) -> None:
        mosquitto, kafka = Mosquitto(folder), KafkaBroker(folder / "kafka", _PATIENCE)
        self._influxd = influxd = Influxd(folder / "influxd")
        token = folder / "influxd.token"
        token.write_text(influxd.token)
        anvil = Anvil("--mixed-mining", "--block-time", "1", "--slots-in-an-epoch", "1")
        self.mqtt_port, self.chain_url = mosquitto.port, anvil.url
        own = _OWN.format(
            bootstrap=kafka.bootstrap, partitions=PARTITIONS, influxd_url=influxd.url, token=token
        )
        self.tables = _TABLES.format(mqtt_port=self.mqtt_port, chain_url=self.chain_url) + own
        self.parts: dict[str, Part] = {
            "log": ServerPart(kafka, lambda: kafka.log_path.read_text("utf-8", "replace")),
            "broker": ServerPart(mosquitto, lambda: mosquitto.log),
            "influxdb": ServerPart(influxd, lambda: "see influxd.log"),
            "chain": ServerPart(anvil, lambda: "anvil says nothing"),
        }

    def shown_readings(self) -> int | None:
        """See `Services.shown_readings`. ServiceError while it cannot be asked."""
        try:
            return self._influxd.count("reading", "value")
        except OSError as exc:
            raise ServiceError("series", f"{self._influxd.url}: {exc}") from exc

    def fund(self, addresses: Iterable[bytes]) -> None:
        """As only a node for tests lets one."""
        rpc = HttpRpc(self.chain_url)
        for address in addresses:
            rpc.request("anvil_setBalance", ["0x" + address.hex(), hex(WEI)])
