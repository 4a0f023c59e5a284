"""Table `anchoring` of lading.toml."""

from pathlib import Path

from pydantic import Field

from anchoring.batches import INTERVAL_FRAMES_MAX
from lading.settings import Settings


class AnchoringSettings(Settings):
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
    priority_wei: int = Field(10**9, ge=0, le=10**15, description="tip per gas, wei")
    budget_wei: int = Field(10**17, ge=1, le=10**21, description="most that one transaction may cost, wei")
    bump_blocks: int = Field(3, ge=1, le=1_000, description="blocks without a receipt until more is paid")
    resend_s: float = Field(
        15, ge=1, le=3_600, description="time without a receipt until the same is sent again, s"
    )
    announce: bool = Field(True, description="publish the newest finalized anchor, retained, on MQTT")
    poll_s: float = Field(1, gt=0, le=60, description="rest between steps, s")
