"""One chain port, three ways to reach a chain: the same tests pass on all."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from anchoring.server import make_server
from lading.chain import Chain, HttpRpc, connect
from lading.errors import RejectedError, ServiceError
from lading.evm import EvmNode
from tests.failing import locked
from tests.services.anvil import anvil
from tests.services.chain_contract import CREATE, SENDER, WEI, ChainContract


def local_node(store: Path | None = None) -> EvmNode:
    """A chain in this process."""
    return EvmNode({SENDER.address: WEI}, lambda: 1_700_000_000, store=store)


class TestInProcess(ChainContract):
    """py-evm, no sockets."""

    @pytest.fixture
    def chain(self) -> Chain:
        return Chain(local_node())

    def test_same_transactions_same_blocks(self) -> None:
        """Two chains given the same transactions at the same times have the same block hashes."""
        first, second = Chain(local_node()), Chain(local_node())
        for chain in (first, second):
            self.send(chain, b"", CREATE)
        assert first.head() == second.head()

    def test_blocks_follow_the_given_clock(self) -> None:
        """A block has the caller's time, or one second after its parent where the clock stands still or goes back."""
        now_s = [1000]
        node = EvmNode({}, lambda: now_s[0])
        times = []
        for now_s[0] in (5000, 5000, 4000, 9000):
            node.mine()
            times.append(Chain(node).head().time_s)
        assert times == [5000, 5001, 5002, 9000]

    def test_stored_chain_goes_on(self, tmp_path: Path) -> None:
        """A chain with a store has the same head, code and receipts after its process died, reorganisation included."""
        node = local_node(tmp_path / "chain.sqlite")
        address = self.deploy(Chain(node))
        lost = self.send(Chain(node), address, bytes(32))
        node.reorganise(1)
        kept = self.send(Chain(node), address, bytes(31) + b"\x01")
        again = Chain(local_node(tmp_path / "chain.sqlite"))
        assert again.head() == Chain(node).head()
        assert again.receipt(kept) == Chain(node).receipt(kept) is not None
        assert again.receipt(lost) is None

    def test_a_start_leaves_the_stored_chain_as_it_is(self, tmp_path: Path) -> None:
        """Running the blocks again writes nothing: killed amid it, the chain has lost none."""
        path = tmp_path / "chain.sqlite"
        self.send(Chain(local_node(path)), b"", CREATE)
        with closing(sqlite3.connect(path)) as db:
            (before,) = db.execute("PRAGMA data_version").fetchone()
            assert Chain(local_node(path)).head().number == 1
            assert db.execute("PRAGMA data_version").fetchone() == (before,)

    def test_a_block_that_cannot_be_stored_is_not_there(self, tmp_path: Path) -> None:
        """Who sent it is told; sent again once the file can be written, it is mined, and there after a restart."""
        path = tmp_path / "chain.sqlite"
        chain = Chain(local_node(path))
        address = self.deploy(chain)
        before = chain.head()
        with locked(path), pytest.raises(ServiceError, match="chain_store"):
            self.send(chain, address, bytes(32))
        assert chain.head() == before
        found = chain.receipt(self.send(chain, address, bytes(32)))
        assert found is not None
        assert found.block_number == before.number + 1
        again = Chain(local_node(path))
        assert again.head() == chain.head()
        assert again.receipt(found.tx_hash) == found

    def test_the_pool_keeps_what_it_took(self, tmp_path: Path) -> None:
        """A block that cannot be stored takes nothing from it but what was just sent, whose sender is told."""
        path = tmp_path / "chain.sqlite"
        chain = Chain(local_node(path))
        late, cheap = (self.send(chain, b"", CREATE, nonce) for nonce in (1, 2))  # they wait for nonce 0
        with locked(path):
            with pytest.raises(ServiceError, match="chain_store"):
                self.send(chain, b"", CREATE, 0)
            with pytest.raises(ServiceError, match="chain_store"):
                self.send(chain, b"", CREATE, 2, priority_fee=3 * 10**9)
        early = self.send(chain, b"", CREATE, 0)
        found = [chain.receipt(tx_hash) for tx_hash in (early, late, cheap)]
        assert {receipt.block_hash for receipt in found if receipt} == {chain.head().hash}
        assert None not in found
        assert Chain(local_node(path)).head() == chain.head()

    def test_a_pool_of_more_than_a_block(self) -> None:
        """Each block takes what it has room for, and nothing is dropped; more gas than a block has is refused."""
        node = local_node()
        chain = Chain(node)
        sent = [
            self.send(chain, b"", CREATE, nonce, gas=29_950_000) for nonce in (2, 1, 0)
        ]  # two wait for the third
        found = [chain.receipt(tx_hash) for tx_hash in reversed(sent)]
        numbers = [receipt.block_number for receipt in found if receipt]
        assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
        with pytest.raises(RejectedError, match="30000001"):
            self.send(chain, b"", CREATE, gas=30_000_001)
        assert chain.nonce(SENDER.address, "pending") == 3

    def test_one_that_cannot_go_takes_no_other_with_it(self) -> None:
        """Funds for either and not for both: the second leaves the pool, the first stays and is mined next."""
        node = local_node()
        chain = Chain(node)
        node.auto_mine = False
        sent = [self.send(chain, b"", CREATE, nonce, priority_fee=24 * 10**13) for nonce in (0, 1)]
        with pytest.raises(RejectedError, match="chain_refused"):
            node.mine()
        node.mine()
        assert [chain.receipt(tx_hash) is not None for tx_hash in sent] == [True, False]
        node.auto_mine = True
        assert chain.receipt(self.send(chain, b"", CREATE, 1)) is not None


class TestOverHttp(ChainContract):
    """The same chain behind our own JSON-RPC server, through web3's provider."""

    @pytest.fixture
    def chain(self) -> Iterator[Chain]:
        server = make_server(local_node(), 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield connect(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        server.server_close()

    @pytest.mark.parametrize("params", [[], [1], [{}], ["0x"], [None, None], ["zz", "latest"]])
    def test_odd_parameters_are_refused(self, chain: Chain, params: list[object]) -> None:
        """A request of another shape gets an error, not a broken connection."""
        with pytest.raises(ServiceError, match="chain_rpc"):
            chain.rpc.request("eth_getTransactionCount", params)

    def test_odd_requests_are_answered(self, chain: Chain) -> None:
        """What is no JSON, no request, too long or from a web page gets an error; batches get an answer each."""
        assert isinstance(chain.rpc, HttpRpc)
        port = int(chain.rpc.url.rsplit(":", 1)[1])
        plain = {"Content-Type": "application/json"}
        ask = json.dumps({"id": 1, "method": "eth_chainId", "params": []})
        wanted = [
            ("{", plain, 200, -32700),
            ("3", plain, 200, -32600),
            ("[]", plain, 200, -32600),
            (json.dumps({"id": 1, "method": "eth_chainId", "params": {}}), plain, 200, -32600),
            (ask, {"Content-Type": "text/plain"}, 415, None),
            (ask, plain | {"Content-Length": "x"}, 413, None),
            (ask, plain | {"Content-Length": str(2**40)}, 413, None),
        ]
        for body, headers, status, code in wanted:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            assert answer.status == status, body
            if code is not None:
                assert json.loads(answer.read())["error"]["code"] == code, body
            connection.close()
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/", f"[{ask},{ask}]", plain)
        assert [one["result"] for one in json.loads(connection.getresponse().read())] == [hex(31_337)] * 2
        connection.close()

    def test_unknown_method(self, chain: Chain) -> None:
        """A method that is not there is refused by name."""
        with pytest.raises(ServiceError, match="eth_subscribe is not known"):
            chain.rpc.request("eth_subscribe", [])


class TestAnvil(ChainContract):
    """A real node."""

    @pytest.fixture
    def chain(self) -> Iterator[Chain]:
        with anvil() as url:
            chain = connect(url)
            chain.rpc.request("anvil_setBalance", ["0x" + SENDER.address.hex(), hex(WEI)])
            yield chain


def test_unreachable_node_is_a_service_error() -> None:
    """No node: ServiceError `chain_unreachable`, not a library's exception."""
    with pytest.raises(ServiceError, match="chain_unreachable"):
        _ = Chain(HttpRpc("http://127.0.0.1:9", timeout_s=1)).chain_id
