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
_ESCROWS = ("v1/PenaltyEscrow", "PenaltyEscrow")
_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


@dataclass(frozen=True, slots=True)
class Finding:
    """What of one contract is not as wanted."""

    contract: str
    text: str


def findings(chain: Chain, deployment: Deployment) -> list[Finding]:
    """Everything that differs; nothing where all is as this version deploys it."""
    found = []
    window_s = _answer(abi.at(chain, "AnchorRegistry", deployment.anchors), "windowS")
    # Products hold the least window of terms: an anchor's and a contest's.
    windows = {_word(window_s), _word(2 * window_s)}
    for contract, wanted in _deployed(chain, deployment):
        problems_here = _code_problems(chain, contract, _words(contract, wanted) | windows)
        problems_here = problems_here or list(_parameter_problems(contract, wanted))
        found += [Finding(contract.interface.name, text) for text in problems_here]
    found += [Finding("PenaltyEscrow", text) for text in _earlier_problems(chain, deployment)]
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
    places = (found["gateways"], found["anchors"], found["vault"])
    return found | {
        "escrow": equal_address("PenaltyEscrow", *places),
        "cover": equal_address("ParametricCover", *places),
    }


def _deployed(chain: Chain, deployment: Deployment) -> Iterator[tuple[Contract, dict[str, Any]]]:
    """Each contract with what it is to say of itself: getter → answer. Direct keys are the deployer's choice."""
    office = deployment.manager

    def at(name: str, address: bytes) -> Contract:
        return abi.at(chain, name, address)

    if office is not None:
        yield at("AccessManager", office), {}
    gateways, anchors = at("GatewayRegistry", deployment.gateways), at("AnchorRegistry", deployment.anchors)
    vault = at("CreditVault", deployment.vault)
    yield gateways, {"registrar": office or _answer(gateways, "registrar")}
    yield anchors, {"guardian": office or _answer(anchors, "guardian")}
    yield vault, {"steward": office or _answer(vault, "steward")}
    registries = {"gateways": deployment.gateways, "anchors": deployment.anchors}
    yield at("PenaltyEscrow", deployment.escrow), registries | {"vault": deployment.vault}
    if deployment.cover is not None:
        cover = at("ParametricCover", deployment.cover)
        pools = _answer(cover, "pools")
        yield cover, registries | {"pools": pools}
        if isinstance(pools, bytes):
            yield at("CoverPools", pools), {"seller": deployment.cover, "vault": deployment.vault}


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


def _earlier_problems(chain: Chain, deployment: Deployment) -> Iterator[str]:
    """An earlier escrow is of a version whose artifact is kept."""
    known = [artifact(name) for name in _ESCROWS]
    for address in deployment.escrows_before:
        code = chain.code(address)
        if not any(_without(code, one) == _without(one.runtime, one) for one in known):
            yield f"the code at 0x{address.hex()} is no earlier escrow's"


def _without(code: bytes, built: Artifact) -> bytes:
    """The code with zeros for immutables."""
    blank = bytearray(code)
    for start, length in built.immutables:
        blank[start : start + length] = bytes(length)
    return bytes(blank)


def _words(contract: Contract, wanted: dict[str, Any]) -> set[bytes]:
    """The parameters as immutables hold them, and the EIP-712 domain at this chain and address where there is one."""
    found = {_word(value) for value in wanted.values()}
    if not contract.interface.has("eip712Domain"):
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
    products = {"escrow": deployment.escrow}
    if deployment.cover is not None:
        products["pools"] = abi.at(chain, "ParametricCover", deployment.cover).call("pools")
    for name, product in products.items():
        if not vault.call("outflowOf", product, deployment.token)[0]:
            yield f"{name} {_shown(product)} is not admitted for the token"


def _shown(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
