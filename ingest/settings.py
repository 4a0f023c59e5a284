"""Table `ingest` of lading.toml."""

from pathlib import Path

from pydantic import Field

from lading.settings import LogSettings, Settings, StageSettings


class IngestSettings(StageSettings):
    """What the stage keeps where, and its bounds."""

    state: Path = Field(Path("ingest.sqlite"), description="state file, below `data` unless absolute")
    raw: bool | None = Field(
        None,
        description="receive into the raw topic, admit by partition: processes share the work; none: with Kafka",
    )
    archive: Path = Field(
        Path("archive"), description="folder of Parquet files, below `data` unless absolute"
    )
    archive_here: bool = Field(True, description="this process also writes the archive")
    broker_store: Path = Field(
        Path("broker.sqlite"), description="what the embedded broker keeps, below `data` unless absolute"
    )
    operators: dict[str, str] = Field(
        default_factory=dict,
        description="public keys (x then y, 128 hex digits) that may order, by tenant; none: the operator's key file",
    )
    client_id: str = Field(
        "lading-ingest", min_length=1, max_length=64, description="MQTT client id, one a process"
    )
    session_s: int = Field(
        60,
        ge=0,
        le=604_800,
        description="MQTT 5: how long the broker keeps this process's share while it is away, s",
    )
    share: str = Field(
        "lading-ingest",
        max_length=64,
        description="shared subscription: a secret; empty: a plain one",
    )
    batch_messages_max: int = Field(1_000, ge=1, le=100_000, description="messages taken at once")
    batch_wait_s: float = Field(0.01, ge=0, le=10, description="time for a batch to fill, s")
    waiting_s: float = Field(600.0, ge=0, le=604_800, description="time to wait for a missing frame, s")
    waiting_of_gateway_max: int = Field(64, ge=1, le=10_000, description="frames of a gateway that may wait")
    waiting_max: int = Field(10_000, ge=1, le=1_000_000, description="frames that may wait in all")
    verify_threads: int = Field(2, ge=1, le=64, description="threads that check signatures")

    def is_apart(self, log: LogSettings) -> bool:
        """Whether receiving and admission are apart."""
        return log.kind == "kafka" if self.raw is None else self.raw


class ArchiveSettings(Settings):
    """Table `archive`: how long readings are kept (docs/operations.md)."""

    keep_days: int | None = Field(
        None, ge=1, le=36_500, description="readings older than this go with `lading archive expire`, days"
    )
