"""`lading fees` charges by the chains' formulas: every expected amount is calculated by hand or taken from op-geth."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from contracts.fees import fastlz
from contracts.fees.cli import app
from contracts.fees.fleet import Fleet, costs
from contracts.fees.formulas import ArbitrumPrices, Fork, L1Prices, OpPrices, floor_gas
from contracts.fees.transactions import OPERATIONS, Measured, measured
from lading import topics
from lading.errors import MalformedError
from lading.evm import EvmNode
from lading.tree import sha256
from tests import naive_fastlz
from tests.settling import ABOVE_MS, MINUTE_MS, Tier, World, make_terms, warm_leg

EXAMPLE = Path(__file__).parents[3] / "docs/examples/prices.toml"
# op-geth, core/types/rollup_cost_test.go
EMPTY_TX = bytes.fromhex("dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080")
CONTRACT_CALL_TX = bytes.fromhex(
    "02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8e41ef24f3f"
    "000000000000000000000000000000000000000000000000000000000000006e"
    "000000000000000000000000af88d065e77c8cc2239327c5edb3a432268e5831"
    "000000000000000000000000000000000000000000000000000000000003c1e5"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000a0"
    "0000000000000000000000000000000000000000000000000000000000000014"
    "8c89ed219d02f1a5be012c689b4f5b731827bebe000000000000000000000000"
    "c001a033fd89cb37c31b2cba46b6466e040c61fc9b2a3675a7f5f493ebd5ad77c497f8a0"
    "7cdf65680e238392693019b4092f610222e71b7cec06449cb922b93b6a12744e"
)


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"", 0), (b"\1" * 1000, 21), (bytes(1000), 21), (EMPTY_TX, 31), (CONTRACT_CALL_TX, 202)],
    ids=["empty", "ones", "zeros", "empty transaction", "contract call"],
)
def test_fastlz_counts_as_op_geth_does(data: bytes, size: int) -> None:
    """The sizes that op-geth's own tests want."""
    assert fastlz.size(data) == size


@given(
    st.lists(st.sampled_from([b"\0", b"\0" * 40, b"\1\2\3", sha256(b"a"), sha256(b"b"), b"x"]), max_size=60)
)
@settings(max_examples=100, deadline=None)
def test_fastlz_counts_what_compressing_gives(parts: list[bytes]) -> None:
    """The size is the length of what the twin compresses, and that is the data again by the format alone."""
    data = b"".join(parts)
    compressed = naive_fastlz.compress(data)
    assert naive_fastlz.decompress(compressed) == data
    assert fastlz.size(data) == len(compressed)


def test_l1_charges_the_gas_or_the_floor_of_calldata() -> None:
    """10 zero bytes and 20 others are 90 tokens, so at least 21 900 gas (EIP-7623); above that, what was used."""
    calldata = bytes(10) + b"\1" * 20
    assert floor_gas(calldata) == 21_900
    prices = L1Prices(base_fee_wei=2, tip_wei=1)
    assert prices.fee(Measured("small", 21_500, calldata, b"")).total_wei == 65_700
    assert prices.fee(Measured("big", 50_000, calldata, b"")).total_wei == 150_000


@pytest.mark.parametrize(("raw", "data_wei"), [(EMPTY_TX, 3_203_000), (CONTRACT_CALL_TX, 4_048_188)])
def test_op_charges_data_as_fjord_does(raw: bytes, data_wei: int) -> None:
    """op-geth's 3 203 000 for the least size; 126.3874 bytes (202 under FastLZ) · 32 030 wei, rounded down."""
    prices = OpPrices(0, 0, 10**9, 10**7, 2, 3, 0, 0, Fork.ISTHMUS)
    fee = prices.fee(Measured("", 30_000, b"", raw))
    assert (fee.total_wei, fee.data_wei) == (data_wei, data_wei)


@pytest.mark.parametrize(
    ("fork", "scalar", "operator_wei"),
    [(Fork.ISTHMUS, 2_000_000, 105_381), (Fork.JOVIAN, 3, 15_806_107), (Fork.ISTHMUS, 3, 7)],
)
def test_op_charges_the_operator_by_the_fork(fork: Fork, scalar: int, operator_wei: int) -> None:
    """52 687 gas: Isthmus · 2 + 7, Jovian · 3 · 100 + 7, and Isthmus' millionths rounded down."""
    prices = OpPrices(1, 1, 0, 0, 0, 0, scalar, 7, fork)
    fee = prices.fee(Measured("", 52_687, b"", EMPTY_TX))
    assert (fee.execution_wei, fee.data_wei, fee.operator_wei) == (105_374, 0, operator_wei)


def test_arbitrum_charges_data_in_gas() -> None:
    """Nothing is 1 byte under Brotli; with 140 more, 141 · 16 units · 1000 wei are 225 600 gas at 10 wei."""
    fee = ArbitrumPrices(base_fee_wei=10, l1_base_fee_wei=1_000).fee(Measured("", 50_000, b"", b""))
    assert (fee.data_bytes, fee.gas, fee.total_wei) == (141, 275_600, 2_756_000)


def test_anchors_follow_the_frames() -> None:
    """An anchor an interval; none where no frame came; more where 100 000 frames do not fit in one."""
    fleet = Fleet(100, 2_880, frame_s=600, tenants=1, legs_per_month=0, breach_share=0)
    assert (fleet.anchors_per_month(60), fleet.anchors_per_month(86_400)) == (43_200, 30)
    assert (fleet.depths(60), fleet.depths(86_400)) == ((4, 0), (14, 0))  # 10 and 14 400 frames
    assert Fleet(1, 1, 600, 1, 0, 0).anchors_per_month(60) == 4_320
    assert Fleet(1_000_000, 1, 60, 1, 0, 0).anchors_per_month(86_400) == 30 * 14_400
    assert Fleet(1_000, 1, 60, 16, 0, 0).depths(60) == (6, 4)  # 62.5 frames of each of 16 tenants


def test_a_month_is_anchors_and_legs() -> None:
    """At 1 wei a gas on L1, 30 anchors and 10 legs, 2 of them breached, cost what the snapshots add up to."""
    fleet = Fleet(2**16, 1, 86_400, 16, legs_per_month=10, breach_share=0.2)
    found = costs(fleet, L1Prices(1, 0), 86_400)
    gas = {name: fee.gas for name, fee in found.fees.items()}
    assert fleet.depths(86_400) == (12, 4)
    legs = 10 * gas["open"] + 2 * (gas["penalty"] + gas["withdraw"] + gas["deposit"]) + 8 * gas["release"]
    assert found.month_wei == 30 * gas["anchor"] + legs
    assert found.anchoring_wei == 30 * gas["anchor"]


def test_gas_is_the_snapshots() -> None:
    """At the measured depth, an operation's gas is the committed figure; a level is about a thousand."""
    path = Path(__file__).parents[3] / "contracts/snapshots/Gas.json"
    snapshots = json.loads(path.read_text())
    for one in OPERATIONS:
        assert measured(one, 16, 4).gas == int(snapshots[one.snapshot])
    penalty = next(one for one in OPERATIONS if one.name == "penalty")
    assert 500 < measured(penalty, 17, 4).gas - measured(penalty, 16, 4).gas < 1_500


def test_covers_are_bought_and_end() -> None:
    """4 covers, 1 of them paid: 4 purchases, 1 payout with its withdrawal, 3 expiries, at the snapshots' gas."""
    fleet = Fleet(2**16, 1, 86_400, 16, legs_per_month=0, breach_share=0.25, covers_per_month=4)
    found = costs(fleet, L1Prices(1, 0), 86_400)
    gas = {name: fee.gas for name, fee in found.fees.items()}
    covers = 4 * gas["cover"] + gas["payout"] + gas["withdraw"] + 3 * gas["expiry"]
    assert found.month_wei == 30 * gas["anchor"] + covers
    snapshots = json.loads((EXAMPLE.parents[2] / "contracts/snapshots/GasCover.json").read_text())
    assert gas["cover"] == int(snapshots["buy, two tiers"])


def recorded(node: EvmNode, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is sent to the node from now on."""
    raws: list[bytes] = []
    request = node.request

    def noting(method: str, params: list[Any]) -> Any:
        if method == "eth_sendRawTransaction":
            raws.append(bytes.fromhex(params[0][2:]))
        return request(method, params)

    monkeypatch.setattr(node, "request", noting)
    return raws


def test_bytes_are_those_of_real_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An anchored and settled leg sends what we charge for: as long but for siblings, as dense within a tenth."""
    world = World(tmp_path)
    raws = recorded(world.node, monkeypatch)
    leg = warm_leg(40 * MINUTE_MS)
    tiers = (Tier(1, ABOVE_MS, 10 * MINUTE_MS, 100_000), Tier(1, ABOVE_MS, 30 * MINUTE_MS, 200_000))
    world.agree(make_terms(world, leg, tiers))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(list(world.log.read(topics.SETTLEMENTS, {}, 1))))
    for one in OPERATIONS:
        made = [measured(one, depth, 0) for depth in range(8)]
        sent = [raw for raw in raws if made[0].calldata[:4] in raw]
        if one.name == "withdraw":
            continue
        alike = min((one.raw for one in made), key=lambda raw: abs(len(raw) - len(sent[0])))
        assert abs(len(alike) - len(sent[0])) < 32
        assert 0.95 <= fastlz.size(alike) / fastlz.size(sent[0]) <= 1.12  # the test's leg names no anchor yet


FLEET = ["--gateways", "10", "--readings-per-day", "1440"]


def test_without_prices_nothing_is_invented() -> None:
    """No price given and no chain named: refused, and the text says what is wanted."""
    found = CliRunner().invoke(app, FLEET)
    assert found.exit_code
    assert "--rpc" in str(found.exception)
    found = CliRunner().invoke(app, [*FLEET, "--op-base-fee-gwei", "1"])
    assert "op_base_fee_scalar" in str(found.exception)


@pytest.mark.parametrize(
    "line", ["op_fork = 'bedrock'", "l1_tip = 1", "l1_tip_gwei = -1", "l1_tip_gwei = 'x'", "["]
)
def test_a_file_of_other_prices_is_refused(line: str, tmp_path: Path) -> None:
    """Unknown names, forks and values are MalformedError, by name."""
    path = tmp_path / "prices.toml"
    path.write_text(line)
    found = CliRunner().invoke(app, [*FLEET, "--prices", str(path)])
    assert type(found.exception) is MalformedError


def test_the_example_answers_for_three_chains(tmp_path: Path) -> None:
    """Tables, the drawing and the JSON document hold all three; a month is the sum of its transactions."""
    plot = tmp_path / "fees.svg"
    options = [*FLEET, "--legs-per-month", "5", "--prices", str(EXAMPLE), "--plot", str(plot)]
    text = CliRunner().invoke(app, options).output
    assert all(name in text for name in ("L1 (prices given)", "OP stack", "Arbitrum", "an anchor in"))
    assert plot.read_text().count("<polyline") == 3
    found = json.loads(CliRunner().invoke(app, [*options, "--json"]).output)
    assert [one["chain"] for one in found["chains"]] == ["l1", "op", "arbitrum"]
    for one in found["chains"]:
        rows = one["operations"].values()
        assert one["month_wei"] == round(sum(row["total_wei"] * row["per_month"] for row in rows))
        assert [row["interval_s"] for row in one["cadences"]] == [60, 300, 900, 3_600, 21_600, 86_400]
