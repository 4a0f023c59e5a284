"""Table `dashboards` of lading.toml."""

from pathlib import Path

from pydantic import Field

from lading.settings import StageSettings


class DashboardsSettings(StageSettings):
    """Where the time series is, and how it is written."""

    url: str = Field("http://127.0.0.1:8086", description="InfluxDB's address")
    org: str = Field("lading", min_length=1, description="InfluxDB's organisation")
    bucket: str = Field("lading", min_length=1, description="bucket, and InfluxQL database")
    token_file: Path = Field(
        Path("influxdb-writer.token"),
        description="file with the writer's token, below `data` unless absolute",
    )
    reader_token_file: Path = Field(
        Path("influxdb-reader.token"),
        description="file with a token that may only read, for `check`; below `data` unless absolute",
    )
    grafana_url: str = Field("", description="Grafana to annotate and to check; none: neither")
    grafana_token_file: Path = Field(
        Path("grafana.token"), description="file with Grafana's token, below `data` unless absolute"
    )
    ca_file: Path | None = Field(None, description="certificate authority of an https address")
    gzip: bool = Field(False, description="compress requests: for a far InfluxDB")
    timeout_s: float = Field(30.0, ge=1, le=600, description="longest time for one request, s")
    batch_lines: int = Field(5_000, ge=1, le=50_000, description="points in one request")
    threads: int = Field(2, ge=1, le=16, description="requests at once")
    records_max: int = Field(1_000, ge=1, le=10_000, description="records of each topic in a step")
    poll_s: float = Field(0.5, gt=0, le=60, description="rest before the log is asked again, s")
    state: Path = Field(
        Path("series.sqlite"), description="state file of the writer, below `data` unless absolute"
    )
    archive: Path = Field(
        Path("archive"), description="folder of Parquet files for backfill, below `data` unless absolute"
    )
    interval_s: float = Field(
        5.0, ge=1, le=3_600, description="time between points of topics, lags and scraped metrics, s"
    )
    scrape: dict[str, str] = Field(
        default_factory=dict, max_length=64, description="stages' metrics: instance's name to its URL"
    )
    status: bool = Field(True, description="write what gateways say of themselves on MQTT")
    client_id: str = Field("lading-series", min_length=1, max_length=64, description="MQTT client id")
