"""When a verdict is worth writing: provisional ones at a bounded rate, final ones always."""

from typing import NamedTuple

from lading.cbor import encode
from lading.tree import sha256
from lading.verdict import Verdict


class Said(NamedTuple):
    """What matters of a verdict to its readers, in short."""

    outcome: bytes  # state, result, finality and which breaches there are
    notices: bytes

    def encode(self) -> bytes:
        """16 bytes."""
        return self.outcome + self.notices

    @staticmethod
    def decode(data: bytes) -> "Said | None":
        """From 16 bytes; None from none."""
        return Said(data[:8], data[8:]) if data else None


def said(verdict: Verdict) -> Said:
    """A verdict in short: that a stretch grows is not news, that there is one is."""
    named: dict[str, list[list[str | int | None]]] = {"breach": [], "notice": []}
    for finding in verdict.findings:
        named[finding.severity].append([finding.rule, finding.channel, finding.first_ms])
    outcome = [verdict.state, verdict.result, verdict.final, named["breach"]]
    return Said(sha256(encode(outcome))[:8], sha256(encode(named["notice"]))[:8])


def is_news(verdict: Verdict, now: Said, earlier: Said | None, earlier_ms: int, provisional_ms: int) -> bool:
    """True when a verdict goes to the log.

    Notices alone wait until the horizon is `provisional_ms` past the last verdict's (event time: no clock).
    """
    if verdict.final or earlier is None or now.outcome != earlier.outcome:
        return True
    return now != earlier and verdict.horizon.last_ms >= earlier_ms + provisional_ms
