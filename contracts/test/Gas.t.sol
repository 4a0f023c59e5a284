// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {FrameProof, Terms} from "../src/Settlement.sol";
import {DeepFixture} from "./DeepFixture.sol";

/// @notice What transactions cost, whole: each call is a transaction of its own on a chain with the P-256
/// precompile, calldata and the 21 000 included. The figures are committed in snapshots/Gas.json.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract GasTest is DeepFixture {
    string private constant GROUP = "Gas";
    uint256 private constant ANCHOR_GAS_MAX = 55_000;
    uint256 private constant SETTLE_GAS_MAX = 150_000;
    /// @dev A slot that was zero before: 22 100 gas in place of 5 000.
    uint256 private constant FIRST_CREDIT_GAS = 17_100;

    function testAnchor() public {
        vm.startPrank(anchorer);
        anchors.anchor(1, sha256("1"), 16);
        _record("anchor, the first", ANCHOR_GAS_MAX + 20_000);
        anchors.anchor(2, sha256("2"), 16);
        _record("anchor", ANCHOR_GAS_MAX);
        anchors.anchor(3, sha256("3"), 1 << 32);
        _record("anchor, most batches", ANCHOR_GAS_MAX);
    }

    function testOpen() public {
        Terms memory terms = _terms();
        bytes32 id = escrow.agreementId(terms);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        token.mint(carrier, BOND);
        vm.startPrank(carrier);
        token.approve(address(vault), BOND);
        vault.deposit(address(escrow), address(token), BOND);
        _record("deposit, the first", 200_000);
        escrow.open(terms, byCarrier, byShipper);
        _record("open, two tiers", 200_000);
    }

    function testSettlePenalty() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _deep(2 * HOUR_MS, 16, 4);
        escrow.settle(terms, 0, proof);
        _record("settle, penalty, depth 16 + 4, both payees' first credit", SETTLE_GAS_MAX + FIRST_CREDIT_GAS);
        assertEq(_credit(shipper), 300e6, "penalty");
        vm.prank(shipper);
        vault.withdraw(address(token), 300e6, shipper);
        _record("withdraw, all", 60_000);
    }

    function testSettleDeeper() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _deep(2 * HOUR_MS, 20, 10);
        escrow.settle(terms, 0, proof);
        _record(
            "settle, penalty, depth 20 + 10, both payees' first credit",
            SETTLE_GAS_MAX + FIRST_CREDIT_GAS + 10_000
        );
    }

    function testSettleAgain() public {
        Terms memory terms = _terms();
        _open(terms);
        escrow.settle(terms, 0, _deep(2 * HOUR_MS, 16, 4));
        vm.warp(START_S);
        terms.salt = 2;
        _open(terms);
        escrow.settle(terms, 0, _deep(2 * HOUR_MS, 16, 4));
        _record("settle, penalty, depth 16 + 4, payees with credits", SETTLE_GAS_MAX);
    }

    function testSettleWithACertificate() public {
        Terms memory terms = _terms();
        terms.uncertaintyMaxMilli = 500;
        _open(terms);
        vm.prank(admin);
        gateways.calibrate(gatewayId, 1, "certificate", BEGIN_MS - HOUR_MS, BEGIN_MS + 99 * HOUR_MS, 100);
        escrow.settle(terms, 0, _deep(2 * HOUR_MS, 16, 4));
        _record(
            "settle, penalty, depth 16 + 4, first credit, one certificate",
            SETTLE_GAS_MAX + FIRST_CREDIT_GAS + 10_000
        );
    }

    function testSettleOneLegOfTwo() public {
        Terms memory terms = _terms();
        terms.legs = _legs(LEG, bytes32(type(uint256).max));
        _open(terms);
        escrow.settle(terms, 0, _deep(2 * HOUR_MS, 16, 4));
        _record(
            "settle, penalty, depth 16 + 4, first credit, one leg of two", SETTLE_GAS_MAX + FIRST_CREDIT_GAS
        );
    }

    function testShowAndFinish() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _deep(FrameCodec.OPEN, 2 * HOUR_MS, 16, 4);
        _warpTo(terms.legs[0].deadlineS);
        escrow.show(terms, 0, proof);
        _record("show, depth 16 + 4", SETTLE_GAS_MAX);
        vm.warp(terms.legs[0].deadlineS + SHOW_S);
        escrow.finish(terms, 0);
        _record("finish, penalty, both payees' first credit", SETTLE_GAS_MAX);
        assertEq(_credit(shipper), 300e6, "penalty");
    }

    function testRelease() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _deep(0, 16, 4);
        escrow.settle(terms, 0, proof);
        _record("settle, release, depth 16 + 4, first credit", SETTLE_GAS_MAX);
        assertEq(_free(), BOND, "released");
    }

    function _record(string memory name, uint256 max) private {
        assertLe(vm.snapshotGasLastCall(GROUP, name), max, name);
    }
}
