"""What a chain says of an evidence file, asked by plain JSON-RPC: no web3, so that verifying installs small.

Selectors and topics are constants here; a test compares them with the contracts' ABI.
"""

import json
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from lading.batch import AnchorRecord
from lading.chain import (
    FINALIZED,
    HTTP_TIMEOUT_S,
    Block,
    Chain,
    Receipt,
    RevertedError,
    answers,
    has_event,
    raise_rpc_error,
)
from lading.chainpaid import check_paid, place_of
from lading.checks import CheckResult, Expected, Status, passed
from lading.errors import ProofError, ServiceError
from lading.evidence import Evidence
from lading.names import tenant_id
from lading.paid import Judged
from lading.payout import Settled

ANSWER_BYTES_MAX = 16 * 1024 * 1024
STATE_OF = bytes.fromhex("d627a31a")  # stateOf(uint64,(bytes32,uint64,uint64))
KEY_AT = bytes.fromhex("3a9e358a")  # keyAt(bytes32,uint64)
ANCHORED = bytes.fromhex("942174e2732ff1fd36a4c6d41e2619429e59eaee1aae298a81cb1ff59474762a")
STATES = ("none", "anchored", "contested", "final", "void")  # IAnchorRegistry.State


class PlainRpc:
    """A node's JSON-RPC over HTTP with the standard library alone; asked once, never retried."""

    def __init__(self, url: str, timeout_s: float = HTTP_TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServiceError("chain_url", f"{url!r}, wanted http:// or https://")
        self.url = url
        self._timeout_s = timeout_s

    def request(self, method: str, params: list[Any]) -> Any:
        """The `result` of one request."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with urlopen(Request(self.url, body, headers), timeout=self._timeout_s) as stream:
                answer = json.loads(stream.read(ANSWER_BYTES_MAX))
        except (URLError, OSError, ValueError) as exc:
            raise ServiceError("chain_unreachable", f"{self.url}: {method}: {exc}") from exc
        if not isinstance(answer, dict):
            raise ServiceError("chain_rpc", f"{method}: an answer that is no object")
        error = answer.get("error")
        if error is not None:
            raise_rpc_error(method, dict(error) if isinstance(error, dict) else {"message": str(error)})
        return answer.get("result")


class ChainCheck:
    """The chain's side of the checks (`lading.verify.ChainView`).

    `registry` and `gateways` are the anchor registry and the gateway registry that the caller trusts.
    """

    def __init__(self, chain: Chain, registry: bytes | None = None, gateways: bytes | None = None) -> None:
        self._chain = chain
        self._registry = registry
        self._gateways = gateways
        self._blocks: dict[int, Block] = {}

    def gateway(self, evidence: Evidence) -> str | None:
        """The gateway's key was the tenant's and valid from the first frame to the last; None: no registry given."""
        if self._gateways is None:
            return None
        wanted = tenant_id(evidence.tenant_name) + evidence.gateway.encode()
        for proof in (evidence.frames[0], evidence.frames[-1]):
            arguments = evidence.gateway.gateway_id + proof.frame.header.sent_ms.to_bytes(32, "big")
            try:
                with answers():
                    found = self._chain.call(self._gateways, KEY_AT + arguments)
            except RevertedError as exc:
                raise ProofError(
                    "gateway_key", f"not registered when it sent frame {proof.frame.header.frame_seq}"
                ) from exc
            if found != wanted:
                raise ProofError("gateway_key", "registered with another key, or for another tenant")
        return f"registered at 0x{self._gateways.hex()}"

    def anchor(self, evidence: Evidence, _: Expected) -> CheckResult:
        """Each anchor is in its registry with its root, count, block and time."""
        for anchor in evidence.anchors:
            with answers():
                self.check_anchor(anchor)
        registries = {anchor.registry for anchor in evidence.anchors}
        found = f"{len(evidence.anchors)} anchors in registry {', '.join('0x' + r.hex() for r in registries)}"
        if self._registry is None:
            return CheckResult(
                "anchor", Status.WARN, f"{found}, which the file names: give --registry to trust it"
            )
        return passed("anchor", found)

    def check_anchor(self, anchor: AnchorRecord) -> None:
        """The chain has this anchor: registry, block, time, root and count. ProofError `anchor` where not."""
        where = f"interval {anchor.interval}"
        if self._registry not in (None, anchor.registry):
            raise ProofError(
                "anchor", f"{where} is in registry 0x{anchor.registry.hex()}, wanted the given one"
            )
        self._check_chain_id(anchor.chain_id)
        block = self._check_block(where, anchor.block_number, anchor.block_hash)
        if block.time_s * 1000 != anchor.block_time_ms:
            raise ProofError(
                "anchor", f"{where}: block time {anchor.block_time_ms} ms, the chain says {block.time_s} s"
            )
        receipt = self._receipt(where, anchor.tx_hash, anchor.block_hash)
        wanted = (ANCHORED, anchor.interval.to_bytes(32, "big"), anchor.super_root)
        data = anchor.batch_count.to_bytes(32, "big") + block.time_s.to_bytes(32, "big")
        if not has_event(receipt, anchor.registry, wanted, data):
            raise ProofError(
                "anchor", f"{where}: the transaction did not anchor this root of {anchor.batch_count} batches"
            )

    def finality(self, evidence: Evidence, _: Expected) -> CheckResult:
        """Each anchor's block is finalized, and the registry holds the interval for final."""
        with answers():
            height = self._chain.height(FINALIZED)
            waiting = [a.interval for a in evidence.anchors if a.block_number > height]
            states = {a.interval: self._state(a) for a in evidence.anchors}
        for interval, state in states.items():
            if state in ("none", "void"):
                raise ProofError("finality", f"interval {interval} is {state} in its registry")
        pending = sorted({*waiting, *(interval for interval, state in states.items() if state != "final")})
        if pending:
            shown = (
                f"{len(pending)} of {len(states)} intervals, the first {pending[0]} ({states[pending[0]]})"
            )
            return CheckResult("finality", Status.WARN, f"not final yet: {shown}")
        return passed("finality", f"{len(states)} intervals are final; finalized up to block {height}")

    def _state(self, anchor: AnchorRecord) -> str:
        words = (
            anchor.interval,
            int.from_bytes(anchor.super_root, "big"),
            anchor.batch_count,
            anchor.block_time_ms // 1000,
        )
        try:
            answer = self._chain.call(
                anchor.registry, STATE_OF + b"".join(word.to_bytes(32, "big") for word in words)
            )
        except RevertedError as exc:
            raise ProofError(
                "finality", f"interval {anchor.interval}: the registry holds another anchor"
            ) from exc
        state = int.from_bytes(answer, "big")
        if len(answer) != 32 or state >= len(STATES):
            raise ProofError(
                "finality", f"0x{anchor.registry.hex()} does not answer as an anchor registry does"
            )
        return STATES[state]

    def paid(self, settlement: Settled, judged: Judged, first_block: int) -> str:
        """The transaction paid the amount under this agreement or cover, in a finalized block."""
        place = place_of(settlement)
        where = place.name
        with answers():
            self._check_chain_id(settlement.chain_id)
            self._check_block(where, settlement.block_number, settlement.block_hash)
            receipt = self._receipt(where, settlement.tx_hash, settlement.block_hash)
            check_paid(self._chain, settlement, judged, receipt, first_block)
        return f"paid by 0x{place.contract.hex()} in transaction 0x{settlement.tx_hash.hex()}"

    def _check_chain_id(self, chain_id: int) -> None:
        if self._chain.chain_id != chain_id:
            raise ProofError(
                "chain_id", f"the file is of chain {chain_id}, this is chain {self._chain.chain_id}"
            )

    def _check_block(self, where: str, number: int, block_hash: bytes) -> Block:
        block = self._blocks.get(number) or self._chain.block(number)
        if block is None or block.hash != block_hash:
            raise ProofError(
                "block", f"{where}: block {number} of this chain is another than {block_hash.hex()}"
            )
        self._blocks[number] = block
        return block

    def _receipt(self, where: str, tx_hash: bytes, block_hash: bytes) -> Receipt:
        receipt = self._chain.receipt(tx_hash)
        if receipt is None or not receipt.ok or receipt.block_hash != block_hash:
            raise ProofError("transaction", f"{where}: {tx_hash.hex()} did not succeed in that block")
        return receipt
