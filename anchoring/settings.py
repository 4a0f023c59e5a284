"""Table `anchoring` of lading.toml."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from anchoring.batches import INTERVAL_FRAMES_MAX
from anchoring.keys import key_paths
from lading import settings
from lading.onchain import SendingSettings
from lading.settings import Shared


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


def load(config: Path) -> tuple[Shared, AnchoringSettings]:
    """The shared tables and this stage's own."""
    return settings.load_shared(config), settings.load(config, "anchoring", AnchoringSettings)


def all_key_paths(config: Path, shared: Shared) -> dict[str, Path]:
    """Where the installation's accounts are, by name."""
    own = settings.load(config, "anchoring", AnchoringSettings)
    return key_paths(shared, own.key, settings.load(config, "settle", SettleKey).key)
