"""Table `settle` of lading.toml."""

from pathlib import Path

from pydantic import Field

from lading.onchain import SendingSettings


class SettleSettings(SendingSettings):
    """Where agreements are, and what their transactions may cost."""

    agreements: Path = Field(
        Path("agreements"), description="folder of signed agreements, below `data` unless absolute"
    )
    covers: Path = Field(Path("covers"), description="folder of covers, below `data` unless absolute")
    key: Path = Field(
        Path("settle.key"), description="settling account's key file, below `data` unless absolute"
    )
    outbox: Path = Field(Path("settle-outbox.sqlite"), description="transaction outbox, below `data`")
    ledger: Path = Field(
        Path("settle-ledger.sqlite"), description="view of the log, below `data`; may be deleted"
    )
    poll_s: float = Field(2, gt=0, le=60, description="rest between steps, s")
