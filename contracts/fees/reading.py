"""A chain's present prices, read from the chain. Its kind shows in the contracts that every one of that kind has."""

from collections.abc import Sequence

from eth_hash.auto import keccak

from contracts.fees.formulas import ArbitrumPrices, Fork, L1Prices, OpPrices, Prices
from lading.chain import Chain, RevertedError
from lading.errors import ServiceError

WORD = 32
OP_L1_BLOCK = bytes.fromhex("4200000000000000000000000000000000000015")
OP_GAS_PRICE_ORACLE = bytes.fromhex("420000000000000000000000000000000000000F")
ARBITRUM_GAS_INFO = bytes.fromhex("000000000000000000000000000000000000006C")
_FORKS: Sequence[tuple[str, Fork]] = (("isJovian()", Fork.JOVIAN), ("isIsthmus()", Fork.ISTHMUS))


def read_prices(chain: Chain) -> Prices:
    """The prices of the newest block. ServiceError when a contract of the chain's kind does not answer."""
    base_fee_wei = chain.head().base_fee
    if chain.code(ARBITRUM_GAS_INFO):
        return ArbitrumPrices(base_fee_wei, _ask(chain, ARBITRUM_GAS_INFO, "getL1BaseFeeEstimate()"))
    tip_wei = chain.tip_wei()
    if chain.code(OP_L1_BLOCK) and chain.code(OP_GAS_PRICE_ORACLE):
        return _op_prices(chain, base_fee_wei, tip_wei)
    return L1Prices(base_fee_wei, tip_wei)


def _op_prices(chain: Chain, base_fee_wei: int, tip_wei: int) -> OpPrices:
    fork = next((fork for name, fork in _FORKS if _says(chain, OP_GAS_PRICE_ORACLE, name)), None)
    has_operator = fork is not None  # there is no such fee before Isthmus
    return OpPrices(
        base_fee_wei,
        tip_wei,
        _ask(chain, OP_L1_BLOCK, "basefee()"),
        _ask(chain, OP_L1_BLOCK, "blobBaseFee()"),
        _ask(chain, OP_L1_BLOCK, "baseFeeScalar()"),
        _ask(chain, OP_L1_BLOCK, "blobBaseFeeScalar()"),
        _ask(chain, OP_L1_BLOCK, "operatorFeeScalar()") if has_operator else 0,
        _ask(chain, OP_L1_BLOCK, "operatorFeeConstant()") if has_operator else 0,
        fork or Fork.ISTHMUS,
    )


def _says(chain: Chain, address: bytes, function: str) -> bool:
    """A flag; one that the contract does not know yet is not set."""
    try:
        return _ask(chain, address, function) == 1
    except RevertedError:
        return False


def _ask(chain: Chain, address: bytes, function: str) -> int:
    answer = chain.call(address, keccak(function.encode())[:4])
    if len(answer) != WORD:
        raise ServiceError(
            "fees", f"{function} at 0x{address.hex()} answered {len(answer)} bytes, wanted {WORD}"
        )
    return int.from_bytes(answer, "big")
