"""Table `anchoring` of lading.toml."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from anchoring.batches import INTERVAL_FRAMES_MAX
from lading.onchain import SendingSettings


class SettleKey(BaseModel):
    """What this stage's commands want of table `settle`: whose account is to have ether."""

    model_config = ConfigDict(frozen=True)

    key: Path = Path("settle.key")


class AnchoringSettings(SendingSettings):
    """When intervals are cut, and what their transactions may cost."""

    interval_s: float = Field(
        60, ge=1, le=86_400, description="a frame waits at most so long for its interval, s"
    )
    frames_max: int = Field(100_000, ge=1, le=INTERVAL_FRAMES_MAX, description="frames of one interval")
    key: Path = Field(
        Path("anchor.key"), description="anchoring account's key file, below `data` unless absolute"
    )
    outbox: Path = Field(Path("anchor-outbox.sqlite"), description="transaction outbox, below `data`")
    index: Path = Field(
        Path("anchor-index.sqlite"), description="places of frames, below `data`; may be deleted"
    )
    announce: bool = Field(True, description="publish the newest finalized anchor, retained, on MQTT")
    poll_s: float = Field(1, gt=0, le=60, description="rest between steps, s")
