"""What happens to a chain: reorganisations, lost transactions, fee spikes, others who send with the same keys."""

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lading.account import Account, Transaction
from lading.chain import FINALIZED, Chain
from lading.errors import LadingError
from tests.simulation.faulty_rpc import DeadBranch

GWEI = 10**9
KEEP_SHARE, RETURN_SHARE = 0.6, 0.5
COLLAPSE_SHARE = 0.3
SPIKE_GWEI = (3, 10, 30, 100, 300, 1_000)
SPIKE_BLOCKS_MIN, SPIKE_BLOCKS_MAX = 2, 8
STUCK_BLOCKS_MAX = 6
ACTIONS = ("reorg", "drop", "spike", "stuck", "race")
_GAS = 21_000


class Chaos:
    """Changes a node's chain as the seed chooses; `mine` makes every block. It asks the node itself."""

    def __init__(self, chain: Chain, seed: str, keys: Sequence[Account]) -> None:
        self._chain = chain
        self._request = chain.rpc.request
        self._rng = random.Random(seed)
        self._keys = keys
        self._spike_gwei = self._spike_left = self._stuck_left = 0
        self.done: Counter[str] = Counter()
        self.depths: Counter[int] = Counter()
        self.dead = DeadBranch()

    def act(self, action: str) -> None:
        """Do one of ACTIONS."""
        {
            "reorg": self._reorg,
            "drop": self._drop,
            "spike": self._spike,
            "stuck": self._stick,
            "race": self._race,
        }[action]()
        self.done[action] += 1

    def calm(self) -> None:
        """Fees as usual, and blocks take what they are given."""
        self._spike_left = self._stuck_left = 0

    def mine(self, time_s: int) -> None:
        """A block at a time, or at that of the one before it."""
        held = self._take_pool() if self._stuck_left else []
        self._stuck_left = max(0, self._stuck_left - 1)
        self._mine(time_s)
        self._send_all(held)

    def _mine(self, time_s: int) -> None:
        fee = self._spike_gwei if self._spike_left else 1
        self._spike_left = max(0, self._spike_left - 1)
        self._request("anvil_setNextBlockBaseFeePerGas", [hex(fee * GWEI)])
        self._request("evm_setNextBlockTimestamp", [max(time_s, self._chain.head().time_s)])
        self._request("evm_mine", [])

    # Actions

    def _spike(self) -> None:
        self._spike_gwei = self._rng.choice(SPIKE_GWEI)
        self._spike_left = self._rng.randint(SPIKE_BLOCKS_MIN, SPIKE_BLOCKS_MAX)

    def _stick(self) -> None:
        self._stuck_left = self._rng.randint(1, STUCK_BLOCKS_MAX)

    def _drop(self) -> None:
        """The pool forgets one."""
        pool = self._pool()
        if pool:
            self._request("anvil_dropTransaction", [self._rng.choice(pool)])
            self.done["dropped from the pool"] += 1

    def _race(self) -> None:
        """Someone else sends with a key of ours: after what waits, or in its place for more money."""
        key, tag = self._rng.choice(self._keys), self._rng.choice(("pending", "latest"))
        nonce = self._chain.nonce(key.address, tag)
        fee = self._rng.choice((2, 20, 2_000)) * GWEI
        transaction = Transaction(self._chain.chain_id, nonce, fee, fee, _GAS, key.address, b"")
        self._send_all([_hex(key.sign_transaction(transaction))])

    def _reorg(self) -> None:
        """Another branch, at least as long, from behind a block that is not final: with some of the transactions."""
        head, final = self._chain.head(), self._chain.height(FINALIZED)
        depth = self._rng.randint(1, head.number - final)
        pool = self._take_pool()
        lost = [self._request("eth_getBlockByNumber", [hex(head.number - up), True]) for up in range(depth)][
            ::-1
        ]
        raws = {tx["hash"]: self._raw(tx["hash"]) for block in lost for tx in block["transactions"]}
        receipts = {name: self._request("eth_getTransactionReceipt", [name]) for name in raws}
        self.dead = DeadBranch({int(block["number"], 16): block for block in lost}, receipts)
        kept = self._kept(lost)
        if self._rng.random() < COLLAPSE_SHARE:
            self._collapse(depth, [raws[name] for name in kept])
        else:
            self._regrow(depth, [raws[name] for name in kept], head.time_s)
        gone = [raw for name, raw in raws.items() if name not in kept]
        self._send_all([*pool, *(raw for raw in gone if self._rng.random() < RETURN_SHARE)])
        self.depths[depth] += 1
        self.done["transactions in lost blocks"] += len(raws)
        self.done["transactions not in the new branch"] += len(gone)

    def _kept(self, lost: Sequence[dict[str, Any]]) -> list[str]:
        """Transactions that the new branch takes: none after one of the same account that it leaves out."""
        kept, held = [], set()
        for tx in (tx for block in lost for tx in block["transactions"]):
            if tx["from"] not in held and self._rng.random() < KEEP_SHARE:
                kept.append(tx["hash"])
            else:
                held.add(tx["from"])
        return kept

    def _collapse(self, depth: int, raws: Sequence[str]) -> None:
        """anvil's own: as many blocks, all at the time of the last that stays."""
        places = sorted(self._rng.randrange(depth) for _ in raws)
        self._request("anvil_reorg", [depth, [[raw, place] for raw, place in zip(raws, places, strict=True)]])

    def _regrow(self, depth: int, raws: Sequence[str], head_s: int) -> None:
        """Blocks at times of their own, as many or one more."""
        self._request("anvil_rollback", [depth])
        begin_s, count = self._chain.head().time_s, depth + self._rng.randint(0, 1)
        places = sorted(self._rng.randrange(count) for _ in raws)
        for place in range(count):
            self._send_all([raw for raw, at in zip(raws, places, strict=True) if at == place])
            self._mine(begin_s + (head_s - begin_s) * (place + 1) // count)

    # The pool

    def _pool(self) -> list[str]:
        content = self._request("txpool_content", [])
        parts = [own for part in ("pending", "queued") for own in content[part].values()]
        return [tx["hash"] for own in parts for _, tx in sorted(own.items(), key=lambda item: int(item[0]))]

    def _take_pool(self) -> list[str]:
        raws = [self._raw(name) for name in self._pool()]
        self._request("anvil_dropAllTransactions", [])
        return raws

    def _raw(self, name: str) -> str:
        raw: str = self._request("eth_getRawTransactionByHash", [name])
        return raw

    def _send_all(self, raws: Sequence[str]) -> None:
        """What the node refuses now is gone."""
        for raw in raws:
            with suppress(LadingError):
                self._request("eth_sendRawTransaction", [raw])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
