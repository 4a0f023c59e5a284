"""What an installation runs on: the embedded parts, or real servers. The stages differ by settings alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from lading.chain import HttpRpc
from lading.supervise import lading_command
from tests.ports import free_port
from tests.services.anvil import Anvil
from tests.services.kafka_broker import KafkaBroker
from tests.services.mosquitto import Mosquitto
from tests.simulation.parts import CommandPart, Part, ServerPart

WEI = 10**24
PARTITIONS = 3
_PATIENCE = {"broker.session.timeout.ms": "6000"}  # a machine under load must not fence its broker
_TABLES = """
[mqtt]
port = {mqtt_port}
[chain]
rpc = "{chain_url}"
"""
_KAFKA = """
[log]
kind = "kafka"
bootstrap = "{bootstrap}"
partitions = {partitions}
"""


class Services(Protocol):
    """`parts` by name, started before the stages; `tables` are what the settings say of them.

    `forgetful` parts lose what they know when they are killed: they are stopped for a while instead (SIGSTOP).
    """

    parts: Mapping[str, Part]
    forgetful: frozenset[str]
    tables: str
    mqtt_port: int
    chain_url: str
    protocol: str

    def fund(self, addresses: Iterable[bytes]) -> None:
        """Give accounts what their transactions cost."""


class Embedded:
    """The broker and chain that Python alone has, and the log in SQLite."""

    forgetful: frozenset[str] = frozenset()
    protocol = "3.1.1"

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

    def fund(self, addresses: Iterable[bytes]) -> None:
        """Its genesis has done so."""


class Real:
    """Mosquitto, Kafka and anvil."""

    forgetful = frozenset({"chain"})
    protocol = "5"

    def __init__(self, folder: Path, _config: Path) -> None:
        mosquitto, kafka = Mosquitto(folder), KafkaBroker(folder / "kafka", _PATIENCE)
        anvil = Anvil("--mixed-mining", "--block-time", "1", "--slots-in-an-epoch", "1")
        self.mqtt_port, self.chain_url = mosquitto.port, anvil.url
        self.tables = _TABLES.format(mqtt_port=self.mqtt_port, chain_url=self.chain_url) + _KAFKA.format(
            bootstrap=kafka.bootstrap, partitions=PARTITIONS
        )
        self.parts: dict[str, Part] = {
            "log": ServerPart(kafka, lambda: kafka.log_path.read_text("utf-8", "replace")),
            "broker": ServerPart(mosquitto, lambda: mosquitto.log),
            "chain": ServerPart(anvil, lambda: "anvil says nothing"),
        }

    def fund(self, addresses: Iterable[bytes]) -> None:
        """As only a node for tests lets one."""
        rpc = HttpRpc(self.chain_url)
        for address in addresses:
            rpc.request("anvil_setBalance", ["0x" + address.hex(), hex(WEI)])
