"""Table `settle` of lading.toml."""

from pathlib import Path

from pydantic import Field

from lading.settings import Settings


class SettleSettings(Settings):
    """Where agreements are, and what their transactions may cost."""

    agreements: Path = Field(
        Path("agreements"), description="folder of signed agreements, below `data` unless absolute"
    )
    key: Path = Field(
        Path("settle.key"), description="settling account's key file, below `data` unless absolute"
    )
    outbox: Path = Field(Path("settle-outbox.sqlite"), description="transaction outbox, below `data`")
    ledger: Path = Field(
        Path("settle-ledger.sqlite"), description="view of the log, below `data`; may be deleted"
    )
    priority_wei: int = Field(10**9, ge=0, le=10**15, description="tip per gas, wei")
    budget_wei: int = Field(10**17, ge=1, le=10**21, description="most that one transaction may cost, wei")
    bump_blocks: int = Field(3, ge=1, le=1_000, description="blocks without a receipt until more is paid")
    resend_s: float = Field(
        15, ge=1, le=3_600, description="time without a receipt until the same is sent again, s"
    )
    poll_s: float = Field(2, gt=0, le=60, description="rest between steps, s")
