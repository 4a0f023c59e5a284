"""The transaction outbox: each intent happens once, whatever the node answers and wherever the process dies."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from lading.account import Account, Transaction, transaction_hash
from lading.chain import Block, Chain, RevertedError
from lading.errors import RejectedError, ServiceError
from lading.evm import EvmNode
from lading.sending import Fees, Sender

ACCOUNT = Account.from_seed(b"sender")
OTHER = b"\x77" * 20
WEI = 10**21
REVERTING = bytes.fromhex("6005600c60003960056000f3") + bytes.fromhex("60006000fd")
FEES = Fees(priority_wei=10**9, budget_wei=10**17, bump_blocks=3, resend_ms=15_000)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_s(self) -> int:
        """Seconds."""
        return self.ms // 1000


class Net:
    """A node that mines when told, and a sender on it."""

    def __init__(self, folder: Path, fees: Fees = FEES, **options: Any) -> None:
        self.clock = Clock()
        self.node = EvmNode({ACCOUNT.address: WEI}, self.clock.now_s, auto_mine=False, **options)
        self.chain = Chain(self.node)
        self.path = folder / "outbox.sqlite"
        self.fees = fees
        self.sender = Sender(self.chain, ACCOUNT, self.path, fees)

    def restart(self) -> None:
        """As after a crash."""
        self.sender.close()
        self.sender = Sender(self.chain, ACCOUNT, self.path, self.fees)

    def step(self, passed_ms: int = 1000) -> None:
        """Time passes, the sender steps."""
        self.clock.ms += passed_ms
        self.sender.step(self.clock.ms)

    def state(self, key: str) -> str:
        """The intent's state."""
        intent = self.sender.intent(key)
        assert intent is not None
        return intent.state


@pytest.fixture
def net(tmp_path: Path) -> Net:
    return Net(tmp_path, safe_depth=2, finalized_depth=4)


def test_signed_bytes_are_what_eth_account_signs() -> None:
    """Our EIP-1559 encoding and signature equal eth-account's for the same key and fields."""
    secret = bytes(31) + b"\x11"
    for nonce, to, data in itertools.product((0, 1, 300), (b"", OTHER), (b"", b"\x00", bytes(60))):
        ours = Account(secret).sign_transaction(Transaction(31_337, nonce, 5, 10**10, 90_000, to, data))
        fields = {
            "type": 2,
            "chainId": 31_337,
            "nonce": nonce,
            "maxPriorityFeePerGas": 5,
            "maxFeePerGas": 10**10,
            "gas": 90_000,
            "value": 0,
            "data": data,
        }
        if to:
            fields["to"] = to
        theirs = EthAccount.sign_transaction(fields, secret)
        assert ours == bytes(theirs.raw_transaction)
        assert transaction_hash(ours) == bytes(theirs.hash)
        assert TypedTransaction.from_bytes(HexBytes(ours)).as_dict()["nonce"] == nonce


def test_key_file(tmp_path: Path) -> None:
    """A key file is written with mode 0600, read back, never overwritten, and refused when others may read it."""
    path = tmp_path / "anchor.key"
    ACCOUNT.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Account.load(path).address == ACCOUNT.address
    with pytest.raises(ServiceError, match="key_file"):
        ACCOUNT.save(path)
    path.chmod(0o640)
    with pytest.raises(ServiceError, match="0640, wanted 0600"):
        Account.load(path)


def test_life_of_an_intent(net: Net) -> None:
    """queued, sent, mined, safe, finalized, as blocks pass; then it is closed."""
    net.sender.queue("a", OTHER, b"\x01")
    states = [net.state("a")]
    net.step()
    states.append(net.state("a"))
    for _ in range(6):
        net.node.mine()
        net.step()
        states.append(net.state("a"))
    assert states == ["queued", "sent", "mined", "mined", "safe", "safe", "finalized", "finalized"]
    intent = net.sender.intent("a")
    assert intent is not None
    assert intent.closed
    assert intent.gas_used > 21_000
    assert net.sender.open_intents() == []


def test_one_intent_a_key(net: Net) -> None:
    """A key queued again is the same intent, before and after a restart; nonces go up by one from the chain's."""
    first = net.sender.queue("a", OTHER, b"\x01")
    net.restart()
    assert net.sender.queue("a", OTHER, b"\x02") == first
    assert net.sender.queue("b", OTHER, b"").nonce == first.nonce + 1


class Estimating:
    """A node that fails to estimate, as it says."""

    def __init__(self, node: EvmNode, code: str) -> None:
        self._node = node
        self._code = code

    def request(self, method: str, params: list[Any]) -> Any:
        """The node's answer, but for estimates."""
        if method == "eth_estimateGas":
            raise ServiceError(self._code, f"{method}: -32000 gas required exceeds allowance")
        return self._node.request(method, params)


@pytest.mark.parametrize(
    ("code", "wanted"), [("chain_rpc", "send_refused"), ("chain_unreachable", "chain_unreachable")]
)
def test_a_call_that_cannot_be_estimated_is_one_purposes_refusal(net: Net, code: str, wanted: str) -> None:
    """A node's own words for a call that burns all gas are of that call; other failures of the node stay its own."""
    net.sender.chain = Chain(Estimating(net.node, code))
    with pytest.raises(ServiceError, match=f"{wanted}: eth_estimateGas"):
        net.sender.attempt("open", OTHER, b"")
    assert net.sender.newest("open") is None


def test_one_sender_a_key(net: Net) -> None:
    """A second process on the same outbox is refused."""
    with pytest.raises(ServiceError, match="sender_taken"):
        Sender(net.chain, ACCOUNT, net.path, FEES)


def test_refused_call_is_not_queued(net: Net) -> None:
    """What the chain refuses already takes no nonce."""
    created = net.sender.queue("create", b"", REVERTING)
    net.step()
    net.node.mine()
    receipt = net.chain.receipt(created.tx_hash)
    assert receipt is not None
    assert receipt.contract is not None
    with pytest.raises(RevertedError):
        net.sender.queue("call", receipt.contract, b"")
    assert net.sender.intent("call") is None


def test_mined_refusal_is_reverted(net: Net) -> None:
    """A transaction that reverts when mined ends in reverted, closed once final."""
    created = net.sender.queue("create", b"", REVERTING)
    net.step()
    net.node.mine()
    receipt = net.chain.receipt(created.tx_hash)
    assert receipt is not None
    assert receipt.contract is not None
    net.sender.queue("call", receipt.contract, b"", gas=100_000)
    net.step()
    net.node.mine()
    net.step()
    assert net.state("call") == "reverted"
    for _ in range(5):
        net.node.mine()
    net.step()
    intent = net.sender.intent("call")
    assert intent is not None
    assert (intent.state, intent.closed) == ("reverted", 1)


def test_fees_go_up_under_one_nonce(net: Net) -> None:
    """Without a receipt for bump_blocks blocks: 12.5 % more or above for both fees, same nonce; the pool takes it."""
    before = net.sender.queue("a", OTHER, b"")
    net.step()
    held = net.node._pool.waiting.copy()
    seen = []
    for _ in range(3):
        net.node._pool.waiting.clear()  # these blocks take nothing
        for _ in range(FEES.bump_blocks):
            net.node.mine()
        net.node._pool.waiting.update(held)
        net.step()
        held = net.node._pool.waiting.copy()
        ((sender, nonce), transaction) = next(iter(held.items()))
        assert (sender, nonce) == (ACCOUNT.address, before.nonce)
        seen.append((transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas))
    for (old_max, old_priority), (new_max, new_priority) in itertools.pairwise(seen):
        assert new_max * 1000 >= old_max * 1125
        assert new_priority * 1000 >= old_priority * 1125
    net.node.mine()
    net.step()
    assert net.state("a") == "mined"


def test_budget_caps_the_fees(tmp_path: Path) -> None:
    """A replacement that would pass the budget is not made; the same bytes are sent again instead."""
    net = Net(tmp_path, Fees(priority_wei=10**9, budget_wei=100_000 * 3 * 10**9, bump_blocks=1, resend_ms=1))
    queued = net.sender.queue("a", OTHER, b"", gas=100_000)
    net.step()
    for _ in range(5):
        net.node._pool.waiting.clear()
        net.node.mine()
        net.step()
    assert [tx.hash for tx in net.node._pool.waiting.values()] == [queued.tx_hash]
    assert all(tx.gas * tx.max_fee_per_gas <= net.fees.budget_wei for tx in net.node._pool.waiting.values())


def test_budget_that_is_reached_is_told(tmp_path: Path) -> None:
    """A transaction that may not pay what blocks ask says so, until a block takes it."""
    net = Net(tmp_path, Fees(priority_wei=10**9, budget_wei=100_000 * 3 * 10**9, bump_blocks=1, resend_ms=1))
    net.sender.queue("a", OTHER, b"", gas=100_000)
    net.step()
    held = net.node._pool.waiting.copy()
    assert net.sender.waits() == {}
    for _ in range(2):
        net.node._pool.waiting.clear()
        net.node.mine()
        net.step()
    assert net.sender.waits()["a"].startswith("budget: dearer would be")
    net.node._pool.waiting.update(held)
    net.node.mine()
    net.step()
    assert (net.state("a"), net.sender.waits()) == ("finalized", {})


def test_offer_below_the_blocks_fee_goes_up_at_once(net: Net) -> None:
    """A base fee above what was signed: the next step offers more, and does not wait for bump_blocks."""
    net.sender.queue("a", OTHER, b"")
    net.step()
    (offered,) = net.node._pool.waiting.values()
    fee = 3 * offered.max_fee_per_gas
    real = net.chain.head

    def dear() -> Block:
        return replace(real(), base_fee=fee)

    net.sender.chain.head = dear  # type: ignore[method-assign]
    net.step()
    (now,) = net.node._pool.waiting.values()
    assert now.nonce == offered.nonce
    assert now.max_fee_per_gas == 2 * fee + FEES.priority_wei


def test_lost_sends_do_not_raise_the_fee(net: Net) -> None:
    """A node that cannot be reached costs nothing: what was never taken is offered again as it was."""

    class Away:
        def request(self, method: str, params: list[Any]) -> Any:
            if method == "eth_sendRawTransaction":
                raise ServiceError("chain_unreachable", "no")
            return net.node.request(method, params)

    queued = net.sender.queue("a", OTHER, b"")
    net.chain.rpc = Away()
    for _ in range(5):
        for _ in range(FEES.bump_blocks - 1):
            net.node.mine()
        with pytest.raises(ServiceError, match="chain_unreachable"):
            net.step()
    net.chain.rpc = net.node
    net.step()
    assert [tx.hash for tx in net.node._pool.waiting.values()] == [queued.tx_hash]


def test_late_reorganisation_does_not_raise_the_fee(net: Net) -> None:
    """A transaction that was mined long after it was sent, and is lost then, goes out as it was."""
    net.sender.queue("a", OTHER, b"")
    net.step()
    for _ in range(4):
        net.node.mine()
        net.step()
    mined = net.sender.intent("a")
    assert mined is not None
    net.node.reorganise(4)
    net.step()
    assert [tx.hash for tx in net.node._pool.waiting.values()] == [mined.tx_hash]


def foreign(net: Net, nonce: int) -> bytes:
    """A transaction of another process with the same key."""
    fee = 2 * net.chain.head().base_fee + 10**9
    raw = ACCOUNT.sign_transaction(Transaction(31_337, nonce, 10**9, fee, 60_000, OTHER, b"\x02"))
    net.chain.send_raw(raw)
    return raw


def test_hole_below_a_nonce_is_filled(net: Net) -> None:
    """A stranger's transaction that was counted and then lost leaves no nonce for ours to wait for."""
    foreign(net, 0)
    net.node.mine()
    ours = net.sender.queue("a", OTHER, b"\x01")
    assert ours.nonce == 1
    net.node.reorganise(1)
    for _ in range(8):
        net.step()
        net.node.mine()
    assert net.state("a") in ("mined", "safe", "finalized")
    assert net.chain.nonce(ACCOUNT.address) == 2
    for _ in range(6):
        net.node.mine()
        net.step()
    assert net.sender.open_intents() == []


def test_filler_gives_way(net: Net) -> None:
    """The stranger's transaction comes back before the filler: the filler is forgotten, and takes no other nonce."""
    raw = foreign(net, 0)
    net.node.mine()
    net.sender.queue("a", OTHER, b"\x01")
    net.node.reorganise(1)
    for _ in range(FEES.bump_blocks):
        net.step()
        net.node.mine()
    net.step()
    assert [intent.key for intent in net.sender.open_intents()] == ["fill/0", "a"]
    net.node._pool.waiting.pop((ACCOUNT.address, 0), None)
    net.chain.send_raw(raw)
    for _ in range(12):
        net.node.mine()
        net.step()
    assert net.sender.open_intents() == []
    assert net.sender.intent("fill/0") is None
    assert net.chain.nonce(ACCOUNT.address) == 2


class Stale:
    """An Rpc that answers some requests as they were answered before."""

    def __init__(self, node: EvmNode) -> None:
        self._node = node
        self.old: dict[str, Any] = {}

    def keep(self, method: str, params: list[Any]) -> None:
        """Give this answer from now on."""
        self.old[f"{method}{params}"] = self._node.request(method, params)

    def request(self, method: str, params: list[Any]) -> Any:
        """Old, where it was kept."""
        key = f"{method}{params}"
        return self.old[key] if key in self.old else self._node.request(method, params)


def test_receipt_of_a_lost_branch_is_not_final(net: Net) -> None:
    """One answer from a node that still has the branch given up closes nothing, however final its height is."""
    net.sender.queue("a", OTHER, b"")
    net.step()
    net.node.mine()
    mined = net.sender.open_intents()[0]
    stale = Stale(net.node)
    height = hex(net.chain.head().number)
    stale.keep("eth_getTransactionReceipt", ["0x" + mined.tx_hash.hex()])
    stale.keep("eth_getBlockByNumber", [height, False])
    net.node.reorganise(1)
    for _ in range(6):
        net.node.mine()
    net.chain.rpc = stale
    net.step()
    assert net.state("a") != "finalized"
    net.chain.rpc = net.node
    net.step()
    assert net.state("a") == "sent"
    assert len(net.node._pool.waiting) == 1


@pytest.mark.parametrize("code", ["chain_rewritten", "chain_behind", "chain_other"])
def test_another_chain_gets_nothing(net: Net, code: str) -> None:
    """What was final is not there, or the chain has another id: nothing is sent, and the error says which."""
    for _ in range(8):
        net.node.mine()
    net.sender.queue("a", OTHER, b"")
    net.step()
    other = EvmNode({ACCOUNT.address: WEI}, lambda: 1_600_000_000, auto_mine=False, finalized_depth=4)
    for _ in range(0 if code == "chain_behind" else 12):
        other.mine()

    class Other:
        def request(self, method: str, params: list[Any]) -> Any:
            return (
                "0x1" if method == "eth_chainId" and code == "chain_other" else other.request(method, params)
            )

    net.chain.rpc = Other()
    net.clock.ms += 60_000
    with pytest.raises(ServiceError, match=code):
        net.sender.step(net.clock.ms)
    assert not other._pool.waiting
    net.chain.rpc = net.node
    net.restart()
    net.step()
    assert net.state("a") == "sent"


def test_lost_transaction_is_sent_again(net: Net) -> None:
    """A node that forgot gets the same bytes again after resend_ms, not before."""
    net.sender.queue("a", OTHER, b"")
    net.step()
    before = dict(net.node._pool.waiting)
    net.node._pool.waiting.clear()
    net.step(FEES.resend_ms - 2000)
    assert not net.node._pool.waiting
    net.step(3000)
    assert net.node._pool.waiting == before


def test_reorganised_transaction_is_sent_again(net: Net) -> None:
    """A receipt that vanishes puts the intent back to sent and the same bytes to the node, at once."""
    net.sender.queue("a", OTHER, b"")
    net.step()
    net.node.mine()
    net.step()
    mined = net.sender.intent("a")
    assert mined is not None
    assert mined.state == "mined"
    net.node.reorganise(1)
    net.step()
    assert net.state("a") == "sent"
    assert [tx.hash for tx in net.node._pool.waiting.values()] == [mined.tx_hash]
    net.node.mine()
    net.step()
    again = net.sender.intent("a")
    assert again is not None
    assert (again.state, again.tx_hash) == ("mined", mined.tx_hash)
    assert again.block_hash != mined.block_hash


def test_reorganised_refusal_is_open_again(net: Net) -> None:
    """A refusal that vanishes is followed again: it may succeed on the other branch."""
    net.sender.queue("a", b"", REVERTING, gas=21_000 + 40_000)
    net.step()
    net.node.mine()
    net.step()
    assert net.state("a") in ("mined", "reverted")
    net.node.reorganise(1)
    net.step()
    assert net.state("a") == "sent"


def test_taken_nonce_is_replaced(net: Net) -> None:
    """Another wallet used the nonce and that is final: the intent goes out under a new one."""
    intent = net.sender.queue("a", OTHER, b"\x01")
    fee = 2 * net.chain.head().base_fee + 10**9
    net.chain.send_raw(
        ACCOUNT.sign_transaction(Transaction(31_337, intent.nonce, 10**9, fee, 60_000, OTHER, b"\x02"))
    )
    net.node.mine()
    net.step()
    assert net.state("a") == "sent"
    for _ in range(10):
        net.node.mine()
        net.step()
    moved = net.sender.intent("a")
    assert moved is not None
    assert moved.nonce == intent.nonce + 1
    assert moved.state in ("mined", "safe")


class Lost(BaseException):
    """The process died here."""


class Flaky:
    """An Rpc that dies before or after its nth sending request."""

    def __init__(self, node: EvmNode, die_at: int, after: bool) -> None:
        self._node = node
        self._left = die_at
        self._after = after

    def request(self, method: str, params: list[Any]) -> Any:
        """As the node, until it dies."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Lost
        result = self._node.request(method, params)
        if self._left == 0:
            raise Lost
        return result


@pytest.mark.parametrize("after", [False, True])
def test_death_at_any_request(tmp_path: Path, after: bool) -> None:
    """Killed before or after any request to the node, and started again: three intents, three transactions."""
    for die_at in itertools.count(1):
        folder = tmp_path / f"{die_at}"
        folder.mkdir()
        net = Net(folder)

        def work(net: Net = net) -> None:
            for key in ("a", "b", "c"):
                net.sender.queue(key, OTHER, key.encode())
                net.step()
                net.node.mine()
            for _ in range(3):
                net.step()

        died = _run_until_lost(net, Flaky(net.node, die_at, after), work)
        work()
        net.node.mine()
        net.step()
        assert [net.state(key) for key in ("a", "b", "c")] == ["finalized"] * 3, die_at
        assert net.chain.nonce(ACCOUNT.address) == 3, die_at
        net.sender.close()
        if not died:
            break


def _run_until_lost(net: Net, rpc: Flaky, work: Callable[[], None]) -> bool:
    net.sender.chain.rpc = rpc
    try:
        work()
        return False
    except Lost:
        return True
    finally:
        net.chain.rpc = net.node
        net.restart()


def test_node_that_takes_but_answers_with_refusal(net: Net) -> None:
    """A node that took the bytes and answered with an error anyway: the receipt decides, nothing is sent twice."""

    class Liar:
        def request(self, method: str, params: list[Any]) -> Any:
            result = net.node.request(method, params)
            if method == "eth_sendRawTransaction":
                raise RejectedError("chain_refused", "already known")
            return result

    net.chain.rpc = Liar()
    net.sender.queue("a", OTHER, b"")
    net.step()
    net.node.mine()
    net.step()
    assert net.state("a") == "mined"
    assert net.chain.nonce(ACCOUNT.address) == 1
