"""What a stage that works on chain opens from its settings: the deployment, and the outbox it sends from."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from lading.account import Account
from lading.chain import Chain
from lading.deployment import Deployment, known_deployments
from lading.errors import ServiceError
from lading.heart import Probe
from lading.sending import Fees, Sender
from lading.settings import Shared, StageSettings


class SendingSettings(StageSettings):
    """What a stage's transactions may cost, and when they are sent again. `key` and `outbox` are the stage's."""

    key: Path
    outbox: Path
    priority_wei: int = Field(10**9, ge=0, le=10**15, description="tip per gas, wei")
    budget_wei: int = Field(10**17, ge=1, le=10**21, description="most that one transaction may cost, wei")
    bump_blocks: int = Field(3, ge=1, le=1_000, description="blocks without a receipt until more is paid")
    resend_s: float = Field(
        15, ge=1, le=3_600, description="time without a receipt until the same is sent again, s"
    )


def open_sender(shared: Shared, own: SendingSettings, chain: Chain) -> Sender:
    """The stage's account with its outbox."""
    fees = Fees(own.priority_wei, own.budget_wei, own.bump_blocks, int(own.resend_s * 1000))
    return Sender(chain, Account.load(shared.lading.below(own.key)), shared.lading.below(own.outbox), fees)


def open_deployment(
    shared: Shared, chain: Chain, contract: Literal["anchors", "escrow", "cover"]
) -> Deployment:
    """The installation's own, or without one the chain's known one.

    ServiceError when the file is of another chain, or of one that has begun anew: `contract` is not there.
    """
    path = shared.lading.below(shared.chain.deployment)
    known = None if path.exists() else known_deployments().get(chain.chain_id)
    deployment = known or Deployment.load(path)
    address: bytes | None = getattr(deployment, contract)
    if address is None:
        raise ServiceError("deployment", f"{path} has no {contract}: `lading anchoring deploy` adds it")
    if deployment.chain_id != chain.chain_id or not chain.code(address):
        raise ServiceError(
            "deployment", f"{path} is not of the chain at {shared.chain.rpc}: remove it and deploy again"
        )
    return deployment


def chain_answers(chain: Chain) -> Probe:
    """The chain says which block is its newest."""
    return lambda: "" if chain.head().number >= 0 else "no block"
