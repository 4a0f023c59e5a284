"""The cover contract and its pools on a chain: what they say, and what parties send them."""

from dataclasses import dataclass
from typing import NamedTuple

from contracts.covers import Cover
from contracts.escrows import Ended, Shown, ShownAt, newest_shown
from contracts.parties import deposit_for
from contracts.policies import PoolTerms
from contracts.typed_data import Domain
from lading import abi
from lading.account import Account
from lading.chain import FINALIZED, LATEST, Chain, Receipt
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.wallet import Wallet

_STATES = ("none", "open", "settled", "cancelled")
VIRTUAL_SHARES = 10**6
LEAVE_S = 7 * 86_400  # as CoverPools has it, too


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as the chain has it; amounts in the token's smallest units."""

    token: bytes
    paid: int
    capital: int
    locked: int
    manager: bytes
    waiting_s: int
    span_s: int
    notice_s: int
    shares: int
    event_max: int
    aggregate_max: int

    def worth(self, shares: int) -> int:
        """What shares take along if they leave now."""
        return shares * (self.capital - self.locked) // (self.shares + VIRTUAL_SHARES)


class Holding(NamedTuple):
    """An owner's shares; of them `leaving` may leave from `leave_s` on, for LEAVE_S."""

    shares: int
    leaving: int
    leave_s: int

    def is_announced(self, now_s: int) -> bool:
        """Whether shares are leaving, and their notice has not lapsed."""
        return bool(self.leaving) and now_s < self.leave_s + LEAVE_S


class CoverState(NamedTuple):
    """What the contract says of a cover. `owed`: of an ended one, what the vault did not let out yet."""

    name: str
    shown: Shown | None
    owed: int


class Insurance:
    """ParametricCover with its pools. ServiceError `deployment` where a chain has none."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        if deployment.cover is None:
            raise ServiceError("deployment", "no cover is deployed, wanted one: deploy anew")
        self.chain = chain
        self.address = deployment.cover
        self.domain = Domain(chain.chain_id, deployment.cover)
        self.contract = abi.at(chain, "ParametricCover", deployment.cover)
        self.pools = abi.at(chain, "CoverPools", self.contract.call("pools"))
        self.pools_domain = Domain(chain.chain_id, self.pools.address)
        self._deployment = deployment
        self._vault = abi.at(chain, "CreditVault", deployment.vault)

    # --- what the chain says

    def pool(self, pool_id: bytes) -> Pool:
        """ServiceError `pool_unknown` where there is none."""
        pool = Pool(*self.pools.call("poolOf", pool_id))
        if not any(pool.manager):
            raise ServiceError("pool_unknown", f"no pool {pool_id.hex()} at 0x{self.pools.address.hex()}")
        return pool

    def window_min_s(self) -> int:
        """The least window of a policy, in seconds."""
        return int(self.contract.call("windowMinS"))

    def holding(self, pool_id: bytes, owner: bytes) -> Holding:
        """An owner's shares of a pool."""
        return Holding(*self.pools.call("holdingOf", pool_id, owner))

    def state(self, cover_id: bytes, tag: str = LATEST) -> CoverState:
        """What the contract says of a cover."""
        number, is_shown, seq, sent_ms, _, amount = self.contract.call("coverOf", cover_id, tag=tag)
        name = _STATES[number]
        shown = Shown(seq, sent_ms, amount) if name == "open" and is_shown else None
        return CoverState(name, shown, amount if name == "settled" else 0)

    def final_state(self, cover_id: bytes) -> CoverState | None:
        """By the finalized block; None where there is none, or the node has no state so old, or no contract in it."""
        if self.chain.final_block() is None:
            return None
        try:
            return self.state(cover_id, FINALIZED)
        except ServiceError as exc:
            if exc.code not in ("chain_rpc", "chain_abi"):
                raise
        return None

    def shown(self, cover_id: bytes, _index: int) -> Shown | None:
        """The newest frame shown of the cover's leg."""
        return self.state(cover_id).shown

    def is_shown_since(self, cover_id: bytes, _leg_id: bytes, first: int) -> bool:
        """Whether a frame of the cover's leg was shown in block `first` or after it."""
        return bool(self.contract.events("FrameShown", cover_id, first=first))

    def shown_at(self, cover_id: bytes, leg_id: bytes, first: int, last: int) -> ShownAt | None:
        """The newest frame that was shown of the cover's leg in blocks first..last."""
        return newest_shown(self.contract, "FrameShown", (cover_id, leg_id), (first, last))

    def ended(self, cover_id: bytes, last: str | int = LATEST) -> Ended | None:
        """The cover's end in blocks up to `last`; None while it has not ended."""
        first = self._deployment.block
        for event, values in self.contract.events("Concluded", cover_id, first=first, last=last):
            return Ended(event, values["legId"], values["payout"], values["rest"], values["reached"])
        return None

    def payout(self, cover_id: bytes, last: str | int = LATEST) -> int | None:
        """What an ended cover made due; None while it has not ended."""
        ended = self.ended(cover_id, last)
        return None if ended is None else ended.penalty

    # --- what parties send

    def open_pool(self, account: Account, terms: PoolTerms) -> Receipt:
        """Open a pool."""
        return Wallet(self.chain, account).transact(
            self.pools,
            "openPool",
            tuple(getattr(terms, name) for name in terms.__slots__),
        )

    def deposit_missing(self, account: Account, token: bytes, amount: int) -> int:
        """Hand the vault what the account's free deposit for the pools lacks; how much."""
        free, _ = self._vault.call("depositOf", self.pools.address, token, account.address)
        missing = max(amount - int(free), 0)
        if missing:
            wallet = Wallet(self.chain, account)
            deposit_for(wallet, self._vault.address, self.pools.address, token, missing)
        return missing

    def add(self, account: Account, pool_id: bytes, amount: int) -> int:
        """Add capital; the shares that it gave."""
        self.deposit_missing(account, self.pool(pool_id).token, amount)
        before = self.holding(pool_id, account.address).shares
        Wallet(self.chain, account).transact(self.pools, "add", pool_id, amount, 1)
        return self.holding(pool_id, account.address).shares - before

    def announce(self, account: Account, pool_id: bytes, shares: int) -> Holding:
        """Say that shares will leave."""
        Wallet(self.chain, account).transact(self.pools, "announce", pool_id, shares)
        return self.holding(pool_id, account.address)

    def remove(self, account: Account, pool_id: bytes, shares: int) -> int:
        """Take announced shares out; what they were worth is a credit in the vault now."""
        worth = self.pool(pool_id).worth(shares)
        Wallet(self.chain, account).transact(self.pools, "remove", pool_id, shares, 1)
        return worth

    def buy(self, account: Account, cover: Cover) -> Receipt:
        """Pay the premium and take the cover."""
        assert cover.signature is not None
        token = self.pool(cover.terms.pool).token
        self.deposit_missing(account, token, cover.terms.premium)
        return Wallet(self.chain, account).transact(
            self.contract, "buy", cover.terms.argument(), cover.signature
        )

    def cancel(self, account: Account, cover: Cover) -> Receipt:
        """Take a policy back that nobody bought."""
        return Wallet(self.chain, account).transact(self.contract, "cancel", cover.terms.argument())
