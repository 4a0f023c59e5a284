"""The escrows of a deployment, by version, and what they say of an agreement.

Code under an open agreement never changes (docs/adr/0031-immutable-contracts.md): an agreement stays with the escrow
that it was signed for, and this module is where the versions differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from contracts.typed_data import Domain
from lading import abi
from lading.abi import Contract
from lading.chain import LATEST, Chain, Event, RevertedError
from lading.deployment import Deployment
from lading.errors import ServiceError

_ARTIFACTS = {1: "v1/PenaltyEscrow", 2: "PenaltyEscrow"}
_SHOWN = {1: "Shown", 2: "FrameShown"}
_ENDED = {1: "Settled", 2: "Concluded"}
CANCELLED = "cancelled"
_V1_STATES = ("none", "open", "shown", "settled", "judged")  # in the first escrow's order
_STATES = ("none", "open", "settled", CANCELLED, CANCELLED)
_CANCELLED_BY = {3: "carrier", 4: "shipper"}


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest frame that was shown of a leg after its deadline, and what its channels make due."""

    frame_seq: int
    sent_ms: int
    penalty: int


class ShownAt(NamedTuple):
    """When a frame that counted was sent, and the block in which the contract looked at it."""

    sent_ms: int
    block_number: int


@dataclass(frozen=True, slots=True)
class State:
    """What an escrow says of an agreement: `concluded` by leg; `owed`: decided, but not let out by the vault yet.

    `cancelled_by`: the party that took the terms back, of an agreement that is cancelled.
    """

    name: str
    concluded: tuple[bool, ...]
    penalty: int = 0
    owed: int = 0
    cancelled_by: str = ""

    @property
    def is_open(self) -> bool:
        """Whether legs can still conclude."""
        return self.name in ("open", "shown")


@dataclass(frozen=True, slots=True)
class Ended:
    """A leg's end as the chain has it; of a cover `penalty` is the payout."""

    event: Event
    leg_id: bytes
    penalty: int
    rest: int
    reached: int


class Escrow:
    """One escrow on a chain."""

    def __init__(self, chain: Chain, address: bytes, version: int) -> None:
        self.version = version
        self.chain = chain
        self.address = address
        self.contract: Contract = abi.at(chain, _ARTIFACTS[version], address)

    @property
    def domain(self) -> Domain:
        """Where its agreements count."""
        return Domain(self.chain.chain_id, self.address)

    def state(self, agreement: bytes, legs: int, tag: str = LATEST) -> State:
        """What it says of an agreement of so many legs."""
        if self.version == 1:
            number, _, _, penalty = self.contract.call("agreementOf", agreement, tag=tag)
            name = _V1_STATES[number]
            is_over = name in ("settled", "judged")
            owed = penalty if name == "judged" else 0
            return State(name, (is_over,), penalty if is_over else 0, owed)
        number, concluded, penalty, owed = self.contract.call("agreementOf", agreement, tag=tag)
        bits = tuple(bool(concluded >> index & 1) for index in range(legs))
        return State(_STATES[number], bits, penalty, owed, _CANCELLED_BY.get(number, ""))

    def shown(self, agreement: bytes, index: int) -> Shown | None:
        """The newest frame shown of a leg; None where none was."""
        if self.version == 1:
            number, *shown = self.contract.call("agreementOf", agreement)
            return Shown(*shown) if _V1_STATES[number] == "shown" else None
        is_shown, seq, sent_ms, _, penalty = self.contract.call("shownOf", agreement, index)
        return Shown(seq, sent_ms, penalty) if is_shown else None

    def is_shown_since(self, agreement: bytes, leg_id: bytes, first: int) -> bool:
        """Whether a frame of a leg was shown in block `first` or after it."""
        events = self.contract.events(_SHOWN[self.version], agreement, first=first)
        return any(values["legId"] == leg_id for _, values in events)

    def ended(self, agreement: bytes, first: int, last: str | int = LATEST) -> Iterator[Ended]:
        """The ends of an agreement's legs in blocks first..last."""
        for event, values in self.contract.events(_ENDED[self.version], agreement, first=first, last=last):
            if self.version == 1:
                is_penalty = values["kind"] == 1
                penalty, rest = (values["amount"], values["rest"]) if is_penalty else (0, values["amount"])
                yield Ended(event, values["legId"], penalty, rest, 0)
            else:
                yield Ended(event, values["legId"], values["penalty"], values["rest"], values["reached"])

    def shown_at(self, agreement: bytes, leg_id: bytes, first: int, last: int) -> ShownAt | None:
        """The newest frame that was shown of a leg in blocks first..last."""
        return newest_shown(self.contract, _SHOWN[self.version], (agreement, leg_id), (first, last))


def owed_in(contract: Contract, events: tuple[Event, ...], claim_id: bytes, leg_id: bytes) -> int:
    """Of what a leg made due, what the transaction with these events did not let out."""
    wanted = (contract.interface.event_topic("Owed"), claim_id, leg_id)
    return sum(
        int.from_bytes(event.data, "big")
        for event in events
        if (event.address, event.topics) == (contract.address, wanted)
    )


def newest_shown(
    contract: Contract, event: str, about: tuple[bytes, bytes], blocks: tuple[int, int]
) -> ShownAt | None:
    """The newest frame that was shown of a claim's leg in these blocks, first and last."""
    events = contract.events(event, *about, first=blocks[0], last=blocks[1])
    return ShownAt(events[-1][1]["sentMs"], events[-1][0].block_number) if events else None


def escrows_of(chain: Chain, deployment: Deployment) -> tuple[Escrow, ...]:
    """The deployment's escrow and those before it, newest first. ServiceError `escrow` for one of no known version."""
    addresses = (deployment.escrow, *reversed(deployment.escrows_before))
    return tuple(Escrow(chain, address, _version(chain, address)) for address in addresses)


def _version(chain: Chain, address: bytes) -> int:
    """By the escrow's own EIP-712 domain (ERC-5267)."""
    try:
        domain: Any = abi.at(chain, _ARTIFACTS[2], address).call("eip712Domain")
    except RevertedError as exc:
        raise ServiceError("escrow", f"0x{address.hex()} does not say which version it is") from exc
    version = str(domain[2])
    if version not in map(str, _ARTIFACTS):
        raise ServiceError("escrow", f"0x{address.hex()} is of version {version[:16]!r}, wanted 1 or 2")
    return int(version)
