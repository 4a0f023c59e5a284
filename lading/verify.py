"""Check an evidence file: every check of docs/spec/evidence.md in order, one line each.

What only a chain can say is asked of a `ChainView` (`lading.chaincheck`); without one those checks say LEFT.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from lading.checks import (
    SHOWN_MAX,
    CheckResult,
    Expected,
    Status,
    check_age,
    check_assignment,
    check_chain,
    check_completeness,
    check_inclusion_paths,
    check_keys,
    check_signature,
    check_totals,
    check_verdict,
    passed,
)
from lading.errors import LadingError, MalformedError
from lading.evidence import Evidence
from lading.paid import Judged, check_amount
from lading.payout import Settled

EXIT_GOOD, EXIT_FAILED, EXIT_UNUSABLE, EXIT_WARNED = 0, 1, 2, 3

Check = Callable[[Evidence, Expected], CheckResult]


class ChainView(Protocol):
    """What a chain says of the file: each returns what it found, or raises what is wrong."""

    def gateway(self, evidence: Evidence) -> str | None:
        """The gateway's key is registered for the tenant; None when no registry is known."""
        ...

    def anchor(self, evidence: Evidence, expected: Expected) -> CheckResult:
        """The anchors are recorded with these roots, block and time."""
        ...

    def finality(self, evidence: Evidence, expected: Expected) -> CheckResult:
        """Their blocks are final."""
        ...

    def paid(self, settlement: Settled, judged: Judged, first_block: int) -> str:
        """The transaction paid the amount, and its block is final; nothing was shown before `first_block`."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """The results in order; `evidence` is None when the file is unusable."""

    results: tuple[CheckResult, ...]
    evidence: Evidence | None

    def exit_code(self, strict: bool) -> int:
        """0 good, 1 failed, 2 unusable, 3 warnings when strict."""
        statuses = {result.status for result in self.results}
        if self.evidence is None:
            return EXIT_UNUSABLE
        if Status.FAIL in statuses:
            return EXIT_FAILED
        return EXIT_WARNED if strict and Status.WARN in statuses else EXIT_GOOD


def verify(data: bytes, expected: Expected, chain: ChainView | None = None) -> Report:
    """Every check of the file in `data`. Never raises for what the file holds."""
    try:
        evidence = Evidence.decode(data)
    except MalformedError as exc:
        return Report((CheckResult("format", Status.FAIL, str(exc)),), None)
    checks: tuple[tuple[str, Check], ...] = (
        ("format", lambda _, __: passed("format", f"{len(data)} bytes, digest {data[-32:].hex()}")),
        ("keys", lambda one, known: _check_keys(one, known, chain)),
        ("signature", check_signature),
        ("assignment", check_assignment),
        ("chain", check_chain),
        ("totals", check_totals),
        ("completeness", check_completeness),
        ("inclusion", check_inclusion_paths),
        ("anchor", chain.anchor if chain else _anchor_left),
        ("finality", chain.finality if chain else _finality_left),
        ("age", check_age),
        ("verdict", check_verdict),
        ("settlement", lambda one, _: _check_settlement(one, chain)),
    )
    return Report(tuple(_run(name, check, evidence, expected) for name, check in checks), evidence)


def _run(name: str, check: Check, evidence: Evidence, expected: Expected) -> CheckResult:
    try:
        return check(evidence, expected)
    except LadingError as exc:
        return CheckResult(name, Status.FAIL, str(exc))


def _check_keys(evidence: Evidence, expected: Expected, chain: ChainView | None) -> CheckResult:
    registered = chain.gateway(evidence) if chain else None
    if registered is None:
        return check_keys(evidence, expected)
    if expected.gateway is None:
        expected = replace(expected, gateway=evidence.gateway.encode())
    result = check_keys(evidence, expected)
    return result._replace(found=f"{result.found}; the gateway is {registered}")


def _anchor_left(evidence: Evidence, _: Expected) -> CheckResult:
    places = sorted({(anchor.chain_id, anchor.registry.hex()) for anchor in evidence.anchors})
    shown = ", ".join(f"0x{registry} on chain {chain_id}" for chain_id, registry in places[:SHOWN_MAX])
    return CheckResult(
        "anchor", Status.LEFT, f"{len(evidence.anchors)} anchors in registry {shown}: needs --rpc"
    )


def _finality_left(evidence: Evidence, _: Expected) -> CheckResult:
    states = sorted({anchor.state for anchor in evidence.anchors})
    return CheckResult("finality", Status.LEFT, f"recorded as {', '.join(states)}: needs --rpc")


def _check_settlement(evidence: Evidence, chain: ChainView | None) -> CheckResult:
    if not evidence.settlements:
        return CheckResult("settlement", Status.LEFT, "none in the file")
    judged = [check_amount(evidence, settlement) for settlement in evidence.settlements]
    due = "; ".join(one.words for one in judged)
    if chain is None:
        return CheckResult("settlement", Status.LEFT, f"{due}; that it was paid needs --rpc")
    first = min(anchor.block_number for anchor in evidence.anchors)
    paid = "; ".join(chain.paid(*pair, first) for pair in zip(evidence.settlements, judged, strict=True))
    return passed("settlement", f"{due}; {paid}")
