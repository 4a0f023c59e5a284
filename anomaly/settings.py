"""Table `anomaly` of lading.toml."""

from pathlib import Path

from pydantic import Field, model_validator

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
    forecaster: Path | None = Field(
        None,
        description="release folder of a forecaster, below `data` unless absolute: channels with limits are forecast; "
        "beside the scores, so not where `score` is false",
    )
    forecast_every_s: int = Field(
        3_600, ge=60, le=86_400, description="event time between forecasts where nothing is feared, s"
    )
    forecast_bytes_max: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        le=1 << 40,
        description="memory for channels' last days; other channels' wait in the state file",
    )
    provisional_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="event time between provisional verdicts that add notices alone, s",
    )
    poll_s: float = Field(0.5, gt=0, le=60, description="longest rest before the log is asked again, s")

    @model_validator(mode="after")
    def _check(self) -> "AnomalySettings":
        if self.forecaster is not None and not self.score:
            raise ValueError("forecaster is set and score is false, wanted both or no forecaster")
        return self
