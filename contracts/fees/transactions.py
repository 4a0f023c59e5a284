"""The transactions that anchoring and settling send: gas as measured, and bytes of the shape that the contracts take.

Gas is that of contracts/snapshots/, which the contracts' tests hold to what forge measures. Bytes are encoded
by the committed ABI around made-up hashes, so they follow every change of the contracts.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lading.abi import artifact, interface
from lading.account import SIGNATURE_BYTES, Account, Transaction
from lading.batch import BatchLeaf
from lading.errors import ServiceError
from lading.frame import Header, RunRecord
from lading.totals import Totals
from lading.tree import sha256

DEPTH_MEASURED = 20  # 16 of the frame in its batch, 4 of the batch in its interval
_DEEPER = 30
_PENALTY_FIRST = "settle, penalty, depth 16 + 4, both payees' first credit"
_PENALTY_DEEPER = "settle, penalty, depth 20 + 10, both payees' first credit"
_PAYOUT_FIRST = "settle, payout, depth 16 + 4, holder's first credit"
_CHAIN_ID, _NONCE, _GAS, _TIP, _FEE_MAX = 10, 10_000, 200_000, 10**6, 10**9  # as long as usual ones
_ITEMS = {"runs": 1, "tiers": 2, "legs": 1}
_RUN_DEPTH = 1
_MILLISECONDS, _SECONDS, _AMOUNT = 1_700_000_000_000, 1_700_000_000, 1_000_000
_TOTALS = Totals(
    first_seq=1,
    count=60_000,
    valid_count=60_000,
    first_ms=_MILLISECONDS - 600_000_000,
    last_ms=_MILLISECONDS,
    last_value=5_123,
    valid_ms=_MILLISECONDS,
    min_value=1_987,
    max_value=9_012,
    longest_gap_ms=600_000,
    known_ms=599_000_000,
    unknown_ms=1_000_000,
    above_ms=2_400_000,
    above_longest_ms=1_200_000,
    mkt_weight_sum=2**80 // 3,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """A contract's function, and where its gas is in the snapshots. `has_paths`: gas and bytes grow with the trees."""

    name: str
    contract: str
    function: str
    snapshot: str
    has_paths: bool = False


OPERATIONS = (
    Operation("anchor", "AnchorRegistry", "anchor", "anchor"),
    Operation("deposit", "CreditVault", "deposit", "deposit, the first"),
    Operation("open", "PenaltyEscrow", "open", "open, two tiers"),
    Operation("penalty", "PenaltyEscrow", "settle", _PENALTY_FIRST, has_paths=True),
    Operation(
        "release", "PenaltyEscrow", "settle", "settle, release, depth 16 + 4, first credit", has_paths=True
    ),
    Operation("withdraw", "CreditVault", "withdraw", "withdraw, all"),
)
COVER_OPERATIONS = (
    Operation("cover", "ParametricCover", "buy", "buy, two tiers"),
    Operation("payout", "ParametricCover", "settle", _PAYOUT_FIRST, has_paths=True),
    Operation("expiry", "ParametricCover", "settle", "settle, release, depth 16 + 4", has_paths=True),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One operation's transaction: its gas, its calldata, and its signed bytes as they are sent."""

    name: str
    gas: int
    calldata: bytes
    raw: bytes


def measured(operation: Operation, frame_depth: int, batch_depth: int) -> Measured:
    """The transaction with paths of these lengths: the frame's in its batch, the batch's in its interval."""
    gas = _snapshot(operation.snapshot)
    if operation.has_paths:
        gas += round((frame_depth + batch_depth - DEPTH_MEASURED) * _gas_per_sibling())
    calldata = _calldata(operation, frame_depth, batch_depth)
    transaction = Transaction(_CHAIN_ID, _NONCE, _TIP, _FEE_MAX, _GAS, sha256(b"to")[:20], calldata)
    return Measured(operation.name, gas, calldata, Account.from_seed(b"fees").sign_transaction(transaction))


def _gas_per_sibling() -> float:
    return (_snapshot(_PENALTY_DEEPER) - _snapshot(_PENALTY_FIRST)) / (_DEEPER - DEPTH_MEASURED)


def _snapshot(name: str) -> int:
    found = _snapshots().get(name)
    if found is None:
        raise ServiceError("fees", f"no gas is measured for {name!r}")
    return int(found)


@cache
def _snapshots() -> dict[str, str]:
    folder = files("contracts") / "snapshots"
    parts = [json.loads(one.read_text()) for one in folder.iterdir() if one.name.endswith(".json")]
    return {name: gas for part in parts for name, gas in part.items()}


@cache
def _calldata(operation: Operation, frame_depth: int, batch_depth: int) -> bytes:
    entry = next(
        one
        for one in artifact(operation.contract).abi
        if one["type"] == "function" and one["name"] == operation.function
    )
    items = _ITEMS | {"frameSiblings": frame_depth, "batchSiblings": batch_depth, "siblings": _RUN_DEPTH}
    arguments = [_sample(one, one["type"], one["name"], items) for one in entry["inputs"]]
    return interface(operation.contract).encode_call(operation.function, *arguments)


def _sample(entry: dict[str, Any], kind: str, name: str, items: dict[str, int]) -> Any:
    """A value of an ABI type, as big as real ones: a hash for each name, so that it repeats where real ones do."""
    if kind.endswith("[]"):
        return [_sample(entry, kind[:-2], f"{name}{at}", items) for at in range(items[name])]
    if kind == "tuple":
        return tuple(_sample(one, one["type"], one["name"], items) for one in entry["components"])
    if kind == "bytes":
        return _content(name)
    if kind == "bool":
        return True
    if kind.startswith("uint"):
        return _number(name, int(kind.removeprefix("uint")))
    return _hash(name)[:20] if kind == "address" else _hash(name)


def _number(name: str, bits: int) -> int:
    if name == "salt":
        return int.from_bytes(_hash(name)[:16], "big")
    value = _MILLISECONDS if name.endswith("Ms") else _SECONDS if name.endswith("S") else _AMOUNT
    return min(value, (1 << bits) - 1)


def _content(name: str) -> bytes:
    """A header, record or batch leaf with plausible fields; anything else is a signature."""
    if name == "header":
        leg = (
            _hash("gatewayId"),
            2,
            _hash("legId"),
            _hash("limitsHash"),
            999,
            _hash("previous"),
            _MILLISECONDS,
        )
        return Header(*leg, 9_999, _hash("block"), _hash("runs"), 1).encoded
    if name == "batchLeaf":
        times = (_MILLISECONDS, _MILLISECONDS + 599_000)
        batch = (_hash("tenant"), 9_999, _hash("frames"), 1_000)
        return BatchLeaf(*batch, *times, _hash("batch"), _hash("location")).encoded
    if name == "record":
        run = (1, 1, 59_940, 60, _MILLISECONDS, _MILLISECONDS + 599_000)
        return RunRecord(*run, _hash("readings"), _TOTALS).encode()
    return (_hash(name) + _hash(name + "s") + b"\x1b")[:SIGNATURE_BYTES]


def _hash(name: str) -> bytes:
    return sha256(name.encode())
