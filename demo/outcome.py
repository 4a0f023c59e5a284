"""What a run ended with, read back from the log alone: what a stage did not write there did not happen."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from lading import topics
from lading.assignment import BEGIN, Assignment, read_assignment
from lading.batch import AnchorRecord, BatchRecord
from lading.deadletter import DeadLetter
from lading.log import Log, Record
from lading.payout import Settled, decode_settled
from lading.verdict import VerdictRecord

READ_RECORDS = 1000
SAMPLES_MAX = 5


@dataclass
class LegOutcome:
    """A leg's begin order and its verdicts, oldest first."""

    begin: Assignment
    verdicts: list[VerdictRecord] = field(default_factory=list)


@dataclass
class Outcome:
    """Legs by id in order of their begin, anchors by interval (newest record), and so on."""

    legs: dict[bytes, LegOutcome]
    batches: dict[int, list[BatchRecord]]
    anchors: dict[int, AnchorRecord]
    settlements: list[Settled]
    dead_counts: Counter[str]
    dead_samples: dict[str, list[DeadLetter]]


def records(log: Log, topic: str) -> Iterator[Record]:
    """Every record of a topic, partitions in turn."""
    positions: dict[int, int] = {}
    while found := log.read(topic, positions, READ_RECORDS):
        for record in found:
            positions[record.partition] = record.offset + 1
        yield from found


def read_outcome(log: Log) -> Outcome:
    """Collect what the stages wrote."""
    outcome = Outcome({}, {}, {}, [], Counter(), {})
    begins = (read_assignment(record.value) for record in records(log, topics.ASSIGNMENTS))
    for begin in sorted(
        (order for order in begins if order.action == BEGIN), key=lambda o: (o.begin_ms, o.reference)
    ):
        outcome.legs.setdefault(begin.leg_id, LegOutcome(begin))
    for record in records(log, topics.VERDICTS):
        verdict = VerdictRecord.decode(record.value)
        outcome.legs[verdict.verdict.leg_id].verdicts.append(verdict)
    for record in records(log, topics.BATCHES):
        batch = BatchRecord.decode(record.value)
        outcome.batches.setdefault(batch.interval, []).append(batch)
    for record in records(log, topics.ANCHORS):
        anchor = AnchorRecord.decode(record.value)
        outcome.anchors[anchor.interval] = anchor
    outcome.settlements = [decode_settled(r.value) for r in records(log, topics.SETTLEMENTS)]
    for record in records(log, topics.DEAD):
        letter = DeadLetter.decode(record.value)
        outcome.dead_counts[letter.code] += 1
        samples = outcome.dead_samples.setdefault(letter.code, [])
        if len(samples) < SAMPLES_MAX:
            samples.append(letter)
    return outcome
