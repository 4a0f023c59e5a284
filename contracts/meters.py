"""The stage's figures: agreements, settlements, and what they cost."""

from lading import metrics
from lading.payout import Settled
from lading.sending import Sender


def count_settlement(settled: Settled) -> None:
    """Count a settlement that was written."""
    metrics.SETTLE_SETTLEMENTS.add(1, settled.kind)
    metrics.SETTLE_GAS.add(settled.gas_used)


def measure(open_count: int, waiting_count: int, sender: Sender) -> None:
    """Where agreements and the account stand. ServiceError: the chain does not answer."""
    metrics.SETTLE_AGREEMENTS.set(open_count)
    metrics.SETTLE_WAITING.set(waiting_count)
    metrics.SETTLE_OUTBOX.set(len(sender.open_intents()))
    metrics.SETTLE_BALANCE.set(sender.chain.balance(sender.account.address))
