"""What annotations Grafana should have over a leg or a payment, and what to change in those that it has."""

import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.timeseries.names import Names, OfLeg
from lading.limits import Limits
from lading.payout import Settled
from lading.rules import describe
from lading.verdict import Finding, Verdict

PRODUCT = "lading"
MARKS_OF_LEG_MAX = 500
"""Excursions of a verdict that are annotated; the first ones."""
ID_HEX = 16
TAG_CHARS_MAX = 90
"""Grafana keeps 100 characters of a tag."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One annotation. `of`: the tag that finds all of a leg or payment; `id`: the one that finds this one alone."""

    of: str
    id: str
    time_ms: int
    until_ms: int
    text: str
    tags: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As Grafana takes it."""
        return {
            "time": self.time_ms,
            "timeEnd": self.until_ms,
            "text": html.escape(self.text, quote=False),
            "tags": [PRODUCT, *self.tags, self.of, self.id],
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do: marks to add, numbers to change and how, numbers to remove."""

    add: tuple[Mark, ...]
    change: tuple[tuple[int, Mark], ...]
    remove: tuple[int, ...]


def of_leg(leg_id: bytes, gateway_id: bytes, limits_hash: bytes) -> str:
    """The tag of all that is annotated over a leg at a gateway."""
    return f"of:{_digest(leg_id, gateway_id, limits_hash)}"


def of_verdict(verdict: Verdict, names: Names, limits: Limits | None) -> list[Mark]:
    """Its breaches."""
    of = names.leg(verdict.gateway_id, verdict.leg_id)
    group = of_leg(verdict.leg_id, verdict.gateway_id, verdict.limits_hash)
    breaches = [one for one in verdict.findings if one.severity == "breach" and one.first_ms > 0]
    breaches.sort(key=lambda one: (one.first_ms, one.order))
    return [_mark(one, group, of, names, limits, verdict.final) for one in breaches[:MARKS_OF_LEG_MAX]]


def _mark(
    finding: Finding, group: str, of: OfLeg, names: Names, limits: Limits | None, is_final: bool
) -> Mark:
    channel = finding.channel
    part = "" if channel is None else names.part(of.gateway, channel) or f"channel {channel}"
    own = limits.by_channel.get(channel) if limits and channel is not None else None
    standing = "final" if is_final else "provisional"
    key = f"{finding.rule} {channel} {finding.first_ms} {finding.first_ms == finding.last_ms}"
    return Mark(
        group,
        f"id:{_digest(group.encode(), key.encode())}",
        finding.first_ms,
        max(finding.last_ms, finding.first_ms),
        f"{of.leg}, {of.gateway}: {describe(finding, own, part)} ({standing})",
        ("excursion", _tag("leg", of.leg), _tag("gateway", of.gateway), _tag("rule", finding.rule), standing),
    )


def of_settlement(settlement: Settled, leg: str, time_ms: int) -> Mark:
    """A payment, at the time when it was seen."""
    what = (
        "cover lapsed, nothing due"
        if settlement.kind == "lapse"
        else f"{settlement.kind} of {settlement.amount} paid"
    )
    whole = _digest(settlement.claim, settlement.tx_hash, settlement.kind.encode())
    return Mark(
        f"of:{_digest(settlement.claim)}",
        f"id:{whole}",
        time_ms,
        time_ms,
        f"{leg}: {what}, transaction 0x{settlement.tx_hash.hex()}",
        ("settlement", _tag("leg", leg), _tag("kind", settlement.kind)),
    )


def changes(wanted: Sequence[Mark], there: Iterable[dict[str, Any]], *, whole: bool) -> Changes:
    """From what Grafana has to what it should have. `whole`: what is there and not wanted goes.

    Of two with one id, which two writers at once may leave, the later goes.
    """
    found: dict[str, dict[str, Any]] = {}
    remove = []
    for one in sorted(there, key=lambda one: int(one["id"])):
        own = next((str(tag).strip() for tag in one["tags"] if str(tag).startswith("id:")), "")
        if own in found or (whole and own not in {mark.id for mark in wanted}):
            remove.append(int(one["id"]))
        else:
            found[own] = one
    add = tuple(mark for mark in wanted if mark.id not in found)
    differing = (mark for mark in wanted if mark.id in found and _differs(mark, found[mark.id]))
    return Changes(add, tuple((int(found[mark.id]["id"]), mark) for mark in differing), tuple(remove))


def _differs(mark: Mark, there: dict[str, Any]) -> bool:
    document = mark.document()
    times = (there["time"], there.get("timeEnd") or there["time"])
    texts = (there["text"], {str(tag).strip() for tag in there["tags"]})
    wanted = {tag.strip() for tag in document["tags"]}
    return times != (document["time"], document["timeEnd"]) or texts != (document["text"], wanted)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:ID_HEX]


def _tag(name: str, value: str) -> str:
    return f"{name}:{value}"[:TAG_CHARS_MAX]
