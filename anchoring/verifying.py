"""Whether what is on a chain is what this version deploys: code, immutables, parameters and roles."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from anchoring.administration import problems
from anchoring.equal import equal_address
from lading import abi
from lading.abi import Artifact, Contract, artifact, codec
from lading.chain import Chain
from lading.deployment import Deployment
from lading.errors import ServiceError

WORD = 32
_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_FIELDS = {
    "manager": "AccessManager",
    "gateways": "GatewayRegistry",
    "anchors": "AnchorRegistry",
    "vault": "CreditVault",
    "escrow": "PenaltyEscrow",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What of one contract is not as wanted."""

    contract: str
    text: str


def findings(chain: Chain, deployment: Deployment) -> list[Finding]:
    """Everything that differs; nothing where all is as this version deploys it."""
    found = []
    for field, name in _FIELDS.items():
        address: bytes | None = getattr(deployment, field)
        if address is not None:
            contract = abi.at(chain, name, address)
            wanted = _parameters(chain, deployment, name)
            window = _answer(abi.at(chain, "AnchorRegistry", deployment.anchors), "windowS")
            code = _code_problems(chain, contract, _words(contract, wanted) | {_word(window)})
            found += [Finding(name, text) for text in code or _parameter_problems(contract, wanted)]
    if not found:
        found += [Finding("CreditVault", text) for text in _vault_problems(chain, deployment)]
    if not found and deployment.manager is not None:
        found += [Finding("AccessManager", text) for text in problems(chain, deployment)]
    return found


def addresses(deployer: bytes, anchorer: bytes, window_s: int, is_managed: bool) -> dict[str, bytes]:
    """Where `lading anchoring deploy` puts the contracts on every chain, by the fields of deployment.json."""
    found = {"manager": equal_address("AccessManager", deployer)} if is_managed else {}
    office = found.get("manager", deployer)
    found["gateways"] = equal_address("GatewayRegistry", office)
    found["anchors"] = equal_address("AnchorRegistry", anchorer, office, window_s)
    found["vault"] = equal_address("CreditVault", office)
    found["escrow"] = equal_address("PenaltyEscrow", found["gateways"], found["anchors"], found["vault"])
    return found


def _parameters(chain: Chain, deployment: Deployment, name: str) -> dict[str, Any]:
    """What the contract is to say of itself: getter → answer. Direct keys are the deployer's choice."""
    registry = abi.at(chain, "AnchorRegistry", deployment.anchors)
    office = deployment.manager
    if name == "PenaltyEscrow":
        return {"gateways": deployment.gateways, "anchors": deployment.anchors, "vault": deployment.vault}
    if name == "AnchorRegistry":
        return {"windowS": _answer(registry, "windowS"), "guardian": office or _answer(registry, "guardian")}
    if name == "GatewayRegistry":
        at = abi.at(chain, name, deployment.gateways)
        return {"registrar": office or _answer(at, "registrar")}
    if name == "CreditVault":
        return {"steward": office or _answer(abi.at(chain, name, deployment.vault), "steward")}
    return {}


def _answer(contract: Contract, getter: str) -> Any:
    """What a getter says; zero where nothing answers, which the code's check tells better."""
    try:
        return contract.call(getter)
    except ServiceError:
        return 0


def _code_problems(chain: Chain, contract: Contract, words: Set[bytes]) -> list[str]:
    """The code but for immutables byte by byte, and each immutable one of the words that belong there."""
    built, code = artifact(contract.interface.name), chain.code(contract.address)
    if not code:
        return [f"nothing is at 0x{contract.address.hex()}"]
    if _without(code, built) != _without(built.runtime, built):
        return [f"the code at 0x{contract.address.hex()} is not the committed one"]
    found = {code[start : start + length] for start, length in built.immutables}
    return [f"immutable {word.hex()}, wanted one of the parameters" for word in sorted(found - words)]


def _without(code: bytes, built: Artifact) -> bytes:
    """The code with zeros for immutables."""
    blank = bytearray(code)
    for start, length in built.immutables:
        blank[start : start + length] = bytes(length)
    return bytes(blank)


def _words(contract: Contract, wanted: dict[str, Any]) -> set[bytes]:
    """The parameters as immutables hold them; for the escrow also its EIP-712 domain at this chain and address."""
    found = {_word(value) for value in wanted.values()}
    if contract.interface.name == "AccessManager" or "vault" not in wanted:
        return found
    try:
        _, name, version, *_ = contract.call("eip712Domain")
    except ServiceError:
        return found
    chain_id = contract.chain.chain_id
    hashes = (keccak(name.encode()), keccak(version.encode()))
    types = ("bytes32", "bytes32", "bytes32", "uint256", "address")
    domain = keccak(codec.encode(types, (_DOMAIN_TYPE, *hashes, chain_id, contract.address)))
    short = {text.encode().ljust(WORD - 1, b"\0") + bytes([len(text)]) for text in (name, version)}
    return found | {*hashes, domain, _word(chain_id), _word(contract.address)} | short


def _word(value: Any) -> bytes:
    return value.rjust(WORD, b"\0") if isinstance(value, bytes) else int(value).to_bytes(WORD, "big")


def _parameter_problems(contract: Contract, wanted: dict[str, Any]) -> Iterator[str]:
    for getter, value in wanted.items():
        found = contract.call(getter)
        if found != value:
            yield f"{getter} is {_shown(found)}, wanted {_shown(value)}"


def _vault_problems(chain: Chain, deployment: Deployment) -> Iterator[str]:
    vault = abi.at(chain, "CreditVault", deployment.vault)
    if not vault.call("isAllowed", deployment.token):
        yield f"token {_shown(deployment.token)} is not allowed"
    if not vault.call("outflowOf", deployment.escrow, deployment.token)[0]:
        yield f"escrow {_shown(deployment.escrow)} is not admitted for the token"


def _shown(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
