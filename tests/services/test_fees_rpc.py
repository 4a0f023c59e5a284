"""`lading fees --rpc` reads what a chain charges now, and knows the kind of chain by its contracts.

The OP-stack's and Arbitrum's contracts are stand-ins with the documented functions, set at their addresses on anvil:
what is shown is that we find and ask them, not that real chains answer so.
"""

import json
from collections.abc import Iterator, Mapping

import pytest
from typer.testing import CliRunner

from contracts.fees.cli import app
from contracts.fees.formulas import ArbitrumPrices, Fork, L1Prices, OpPrices
from contracts.fees.reading import ARBITRUM_GAS_INFO, OP_GAS_PRICE_ORACLE, OP_L1_BLOCK, read_prices
from lading.chain import Chain, connect
from lading.errors import ServiceError
from tests.services.anvil import anvil
from tests.services.opcodes import answering

L1_BLOCK = {
    "basefee()": 10**9,
    "blobBaseFee()": 10**7,
    "baseFeeScalar()": 2,
    "blobBaseFeeScalar()": 3,
    "operatorFeeScalar()": 4,
    "operatorFeeConstant()": 5,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with anvil() as found:
        yield found


def put(chain: Chain, address: bytes, table: Mapping[str, int] | None) -> None:
    """The stand-in there, or nothing."""
    code = b"" if table is None else answering(table)
    chain.rpc.request("anvil_setCode", ["0x" + address.hex(), "0x" + code.hex()])


def test_plain_chain(url: str) -> None:
    """Without contracts of a rollup: the newest block's base fee, and the tip that the node proposes."""
    chain = connect(url)
    assert read_prices(chain) == L1Prices(chain.head().base_fee, chain.tip_wei())
    options = ["--gateways", "10", "--readings-per-day", "1440", "--rpc", url, "--json"]
    (found,) = json.loads(CliRunner().invoke(app, options).output)["chains"]
    assert found["source"] == "chain 31337, block 0"
    assert found["prices"] == {"base_fee_wei": chain.head().base_fee, "tip_wei": chain.tip_wei()}


@pytest.mark.parametrize(
    ("oracle", "fork", "operator"),
    [
        ({"isJovian()": 1, "isIsthmus()": 1}, Fork.JOVIAN, (4, 5)),
        ({"isJovian()": 0, "isIsthmus()": 1}, Fork.ISTHMUS, (4, 5)),
        ({"isIsthmus()": 1}, Fork.ISTHMUS, (4, 5)),
        ({}, Fork.ISTHMUS, (0, 0)),
    ],
    ids=["Jovian", "Jovian to come", "Isthmus", "Fjord"],
)
def test_op_stack(url: str, oracle: Mapping[str, int], fork: Fork, operator: tuple[int, int]) -> None:
    """L1Block's prices and scalars; the oracle says the fork, and before Isthmus there is no operator fee."""
    chain = connect(url)
    put(chain, OP_L1_BLOCK, L1_BLOCK)
    put(chain, OP_GAS_PRICE_ORACLE, oracle)
    wanted = OpPrices(chain.head().base_fee, chain.tip_wei(), 10**9, 10**7, 2, 3, *operator, fork)
    assert read_prices(chain) == wanted
    put(chain, OP_L1_BLOCK, None)


def test_arbitrum(url: str) -> None:
    """ArbGasInfo's estimate of L1's base fee; one that answers another thing is an error by name."""
    chain = connect(url)
    put(chain, ARBITRUM_GAS_INFO, {"getL1BaseFeeEstimate()": 77})
    assert read_prices(chain) == ArbitrumPrices(chain.head().base_fee, 77)
    chain.rpc.request("anvil_setCode", ["0x" + ARBITRUM_GAS_INFO.hex(), "0x00"])
    with pytest.raises(ServiceError, match="answered 0 bytes"):
        read_prices(chain)
    put(chain, ARBITRUM_GAS_INFO, None)
