"""Table `anomaly` of lading.toml."""

from pathlib import Path

from pydantic import Field

from lading.settings import StageSettings


class AnomalySettings(StageSettings):
    """How the stage keeps its state and how often it speaks."""

    state: Path = Field(Path("anomaly.sqlite"), description="state file, below `data` unless absolute")
    operators: dict[str, str] = Field(
        default_factory=dict,
        description="public keys (x then y, 128 hex digits) that may order, by tenant; none: the operator's key file",
    )
    archive: Path = Field(
        Path("archive"),
        description="archive that ingest writes, for the forecaster, below `data` unless absolute",
    )
    records_max: int = Field(1_000, ge=1, le=100_000, description="records of each topic in a step")
    channels_cached_max: int = Field(
        10_000, ge=1, le=10_000_000, description="channels whose rule state stays in memory"
    )
    score: bool = Field(True, description="whether the detectors score every channel, beside the rules")
    score_bytes_max: int = Field(
        128 * 1024 * 1024,
        ge=1024 * 1024,
        le=1 << 40,
        description="memory for channels' detectors; other channels' wait in the state file",
    )
    provisional_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="event time between provisional verdicts that add notices alone, s",
    )
    poll_s: float = Field(0.5, gt=0, le=60, description="longest rest before the log is asked again, s")
