"""The stage's figures: intervals, anchors, and what they cost."""

from anchoring.index import Index
from lading import metrics, topics
from lading.batch import ANCHOR_STATES, AnchorRecord
from lading.log import Log
from lading.sending import Sender

STATES = ("cut", *ANCHOR_STATES)


def count_anchor(anchor: AnchorRecord) -> None:
    """Count an anchor record that was written."""
    metrics.ANCHORING_RECORDS.add(1, anchor.state)
    if anchor.state == "finalized":
        metrics.ANCHORING_GAS.add(anchor.gas_used)


def measure(log: Log, index: Index, sender: Sender) -> None:
    """Where frames, intervals, chain and account stand. ServiceError: the log or the chain does not answer."""
    metrics.ANCHORING_WAITING.set(frames_waiting(log, index))
    counts = index.counts()
    for state in STATES:
        metrics.ANCHORING_INTERVALS.set(counts.get(state, 0), state)
    metrics.ANCHORING_OUTBOX.set(len(sender.open_intents()))
    newest = index.newest_finalized()
    if newest is not None:
        metrics.ANCHORING_FINALIZED.set(newest.interval)
        metrics.ANCHORING_FINALIZED_TIME.set(newest.block_time_ms / 1000)
    metrics.ANCHORING_CHAIN_HEIGHT.set(sender.chain.head().number)
    metrics.ANCHORING_BALANCE.set(sender.chain.balance(sender.account.address))


def frames_waiting(log: Log, index: Index) -> int:
    """Frames of the log that are in no interval yet."""
    taken = index.positions(topics.FRAMES)
    return sum(end - taken.get(partition, 0) for partition, end in log.end(topics.FRAMES).items())
