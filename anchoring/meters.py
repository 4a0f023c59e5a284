"""The stage's figures: intervals, anchors, and what they cost."""

from collections import Counter

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
    counts = _counts(index)
    for state in STATES:
        metrics.ANCHORING_INTERVALS.set(counts[state], state)
    metrics.ANCHORING_OUTBOX.set(len(sender.open_intents()))
    newest = index.newest_finalized()
    if newest is not None:
        metrics.ANCHORING_FINALIZED.set(newest.interval)
        metrics.ANCHORING_FINALIZED_TIME.set(newest.block_time_ms / 1000)
    metrics.ANCHORING_CHAIN_HEIGHT.set(sender.chain.head().number)
    metrics.ANCHORING_BALANCE.set(sender.chain.balance(sender.account.address))


def _counts(index: Index) -> Counter[str]:
    """Intervals by state, looking only at those that are not finalized: a year has half a million that are."""
    anchors = [index.anchor(interval) for interval in index.unfinished()]
    counts = Counter("cut" if anchor is None else anchor.state for anchor in anchors)
    counts["finalized"] += index.interval_last() - len(anchors)
    return counts


def frames_waiting(log: Log, index: Index) -> int:
    """Frames of the log that are in no interval yet."""
    taken = index.positions(topics.FRAMES)
    return sum(end - taken.get(partition, 0) for partition, end in log.end(topics.FRAMES).items())
