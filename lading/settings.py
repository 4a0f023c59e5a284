"""`lading.toml`: one table a stage, overridden by environment (LADING_EDGE_FLUSH_S). Unknown keys fail."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from lading.errors import ServiceError
from lading.names import tenant_id

STAGES = ("edge", "ingest", "archive", "anomaly", "anchoring", "settle", "dashboards")
EMBEDDED = ("broker", "chain")
PROCESSES = ("edge", "ingest", "anomaly", "anchoring", "settle", "dashboards")
PARTS = (*EMBEDDED, *PROCESSES)
SHARED = ("lading", "mqtt", "log", "chain")

Part = Literal["broker", "chain", "edge", "ingest", "anomaly", "anchoring", "settle", "dashboards"]

M = TypeVar("M", bound=BaseModel)


class Settings(BaseModel):
    """Base of every table: unknown keys fail, values cannot change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageSettings(Settings):
    """What every stage's table has: where its process shows metrics and health (docs/operations.md)."""

    metrics_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    metrics_port: int = Field(0, ge=0, le=65535, description="their port; 0: not served")
    step_limit_s: float = Field(
        300.0, ge=1, le=86_400, description="a loop that has not turned for so long hangs, s"
    )


class LadingSettings(Settings):
    """Table `lading`: what all stages share."""

    tenant: str = Field("demo", description="tenant's name: a-z, 0-9 and -")
    data: Path = Field(Path("lading-data"), description="folder for everything that stages keep")
    gateways: Path = Field(Path("gateways.json"), description="known gateways, below `data` unless absolute")
    operator_key: Path = Field(
        Path("operator.pem"), description="operator's key file, below `data` unless absolute"
    )
    operator_public: Path | None = Field(
        None,
        description="operator's public key file, for a process that only checks orders; none: `operator_key`",
    )
    up: tuple[Part, ...] = Field(
        ("broker", "chain", "edge", "ingest", "anomaly", "anchoring", "settle"),
        description="what `lading up` runs on this machine; without `broker` and `chain` they are services",
    )
    channels: dict[str, dict[int, str]] = Field(
        {}, description="by gateway: channel to the part it plays in profiles (air, door, …), or its quantity"
    )

    def model_post_init(self, context: Any, /) -> None:
        """Refuse a tenant name that no tenant id can be made of."""
        tenant_id(self.tenant)

    def beside_operator(self, path: Path) -> Path:
        """`path`, beside the operator's key unless it is absolute: what only the operator's own commands use."""
        return self.below(self.operator_key).parent / path

    def below(self, path: Path) -> Path:
        """`path`, below the data folder unless it is absolute."""
        return path if path.is_absolute() else self.data / path


class MqttSettings(Settings):
    """Table `mqtt`: the broker, and what clients show it. Paths lie below `data` unless absolute.

    `{name}` in a path is the client's name: ingest, anchoring, operator, series, or a gateway's.
    """

    host: str = Field("127.0.0.1", description="broker's host, as its certificate has it")
    port: int = Field(1883, ge=1, le=65535, description="broker's port")
    protocol: Literal["5", "3.1.1"] = Field(
        "3.1.1", description="what stages speak; edge.link has its own. The embedded broker knows 3.1.1 alone"
    )
    ca: Path | None = Field(None, description="certificate authority of the broker; none: not encrypted")
    certificate: Path | None = Field(None, description="the client's certificate, as certs/{name}.crt")
    key: Path | None = Field(None, description="its key, as certs/{name}.key")
    user: str | None = Field(None, description="user name; not needed with a certificate")
    password_file: Path | None = Field(None, description="file that holds the user's password")


class LogSettings(Settings):
    """Table `log`: the stream all stages read and write."""

    kind: Literal["sqlite", "kafka"] = Field("sqlite", description="a file on this machine, or Apache Kafka")
    path: Path = Field(Path("log.sqlite"), description="SQLite log, below `data` unless absolute")
    partitions: int = Field(
        1,
        ge=1,
        le=1024,
        description="of each topic; as many processes can share a stage's work; fixed at first use",
    )

    bootstrap: str = Field(
        "127.0.0.1:9092", description="Kafka: host:port of one broker or, by commas, of more"
    )
    prefix: str = Field(
        "",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        description="Kafka: before each topic and group, to share a broker",
    )
    replicas: int = Field(
        1, ge=1, le=32, description="Kafka: brokers that keep a topic made here; 3 outlive one"
    )
    fsync: bool = Field(
        False,
        description="Kafka: topics made here are written to disk before a record is acknowledged: for one broker",
    )
    create_topics: bool = Field(
        True, description="Kafka: the first append makes its topic; false: `lading log init` alone does"
    )
    append_timeout_s: float = Field(
        30, ge=1, le=600, description="Kafka: an append that is not acknowledged by then has failed, in s"
    )
    session_s: float = Field(
        10, ge=1, le=300, description="Kafka: a process that is silent for so long loses its partitions, in s"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka: SSL encrypts, SASL has user and password"
    )
    ca: Path | None = Field(
        None, description="Kafka: PEM file of the authority that signed the broker's certificate"
    )
    certificate: Path | None = Field(
        None, description="Kafka: PEM file of our own certificate, where it asks for one"
    )
    key: Path | None = Field(None, description="Kafka: PEM file of the certificate's key")
    user: str | None = Field(None, description="Kafka: SASL user")
    password_file: Path | None = Field(
        None, description="Kafka: file that holds the user's password and no more"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-256", description="Kafka: how the password is shown"
    )

    def model_post_init(self, context: Any, /) -> None:
        """Refuse SASL without a user and a password."""
        if self.security_protocol.startswith("SASL") and not (self.user and self.password_file):
            raise ValueError(f"security_protocol {self.security_protocol} wants user and password_file")


class ChainSettings(Settings):
    """Table `chain`: where anchors and agreements live."""

    rpc: str = Field("http://127.0.0.1:8545", description="JSON-RPC endpoint")
    deployment: Path = Field(
        Path("deployment.json"), description="contract addresses, below `data` unless absolute"
    )


class Shared(Settings):
    """The tables that every stage reads."""

    lading: LadingSettings = LadingSettings()
    mqtt: MqttSettings = MqttSettings()
    log: LogSettings = LogSettings()
    chain: ChainSettings = ChainSettings()


def load_shared(path: Path, environment: Mapping[str, str] = os.environ) -> Shared:
    """The shared tables; relative paths of `data` are seen from the file's folder. ServiceError `settings`."""
    tables = {name: _table(path, name, environment) for name in SHARED}
    shared = _validate(path, "", Shared, tables, environment)
    data = path.parent / shared.lading.data
    return shared.model_copy(update={"lading": shared.lading.model_copy(update={"data": data})})


def load(path: Path, stage: str, model: type[M], environment: Mapping[str, str] = os.environ) -> M:
    """One stage's table as its model. ServiceError `settings` says which key is wrong and what was wanted."""
    return _validate(path, stage, model, _table(path, stage, environment), environment)


def load_shown(path: Path, stage: str, environment: Mapping[str, str] = os.environ) -> StageSettings | None:
    """Where a stage's process shows its health; None for a stage that the file has no table of."""
    table = _table(path, stage, environment)
    known = {key: value for key, value in table.items() if key in StageSettings.model_fields}
    return _validate(path, stage, StageSettings, known, environment) if table else None


def load_scraped(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where the writer of the time series reads processes' metrics, by instance: they may run on other machines."""
    known = {"scrape": _table(path, "dashboards", environment).get("scrape", {})}
    own = _validate(path, "dashboards", _Scraped, known, environment)
    return own.scrape


class _Scraped(Settings):
    scrape: dict[str, str]


def _validate(
    path: Path, table: str, model: type[M], values: dict[str, Any], environment: Mapping[str, str]
) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        problems = "; ".join(_problem(table, error, environment) for error in exc.errors())
        raise ServiceError("settings", f"{path}: {problems}") from exc


def _problem(table: str, error: ErrorDetails, environment: Mapping[str, str]) -> str:
    """Which key, what was found and wanted; and the variable, where the key is not the file's."""
    keys = (table, *error["loc"]) if table else error["loc"]
    variable = f"LADING_{'_'.join(map(str, keys[:2])).upper()}"
    said = "no such key" if error["type"] == "extra_forbidden" else error["msg"]
    source = f" in {variable}" if variable in environment else ""
    return f"{'.'.join(map(str, keys))}: {said}, found {str(error['input'])[:80]!r}{source}"


def _table(path: Path, name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as exc:
        raise ServiceError("settings", f"{path}: {exc.strerror}; `lading init` writes one") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ServiceError("settings", f"{path}: {exc}") from exc
    unknown = sorted(set(document) - {*STAGES, *SHARED})
    if unknown:
        raise ServiceError("settings", f"{path}: unknown tables {', '.join(unknown)}")
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise ServiceError("settings", f"{path}: {name} is no table")
    prefix = f"LADING_{name.upper()}_"
    for variable, text in environment.items():
        if variable.startswith(prefix):
            table[variable.removeprefix(prefix).lower()] = _value(text)
    return table


def _value(text: str) -> Any:
    """A variable's text as JSON where it is that (numbers, lists), else as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text
