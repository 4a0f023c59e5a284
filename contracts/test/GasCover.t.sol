// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Policy} from "../src/Insurance.sol";
import {FrameProof} from "../src/Settlement.sol";
import {CoverFixture} from "./CoverFixture.sol";

/// @notice What a pool's and a cover's transactions cost, whole, as in GasTest. Committed in snapshots/GasCover.json.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract GasCoverTest is CoverFixture {
    string private constant GROUP = "GasCover";
    uint256 private constant PAYOUT_GAS_MAX = 180_000;

    function testCapital() public {
        address late = actor("late");
        _pay(late, CAPITAL);
        vm.startPrank(late);
        pools.add(pool, CAPITAL, 0);
        _record("add, the first of an owner", 130_000);
        uint256 shares = pools.holdingOf(pool, late).shares;
        pools.announce(pool, shares);
        _record("announce", 80_000);
        vm.warp(block.timestamp + NOTICE_S);
        pools.remove(pool, shares, 0);
        _record("remove, all, first credit", 130_000);
    }

    function testBuy() public {
        Policy memory policy = _policy();
        bytes memory signature = _quote(policy);
        _pay(holder, PREMIUM);
        vm.prank(holder);
        cover.buy(policy, signature);
        _record("buy, two tiers", 200_000);
    }

    function testPayout() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _deep(2 * HOUR_MS, 16, 4);
        cover.settle(policy, proof);
        _record("settle, payout, depth 16 + 4, holder's first credit", PAYOUT_GAS_MAX);
        assertEq(_credit(holder), 300e6, "payout");
    }

    function testPayoutAgain() public {
        Policy memory policy = _policy();
        _buy(policy);
        cover.settle(policy, _deep(2 * HOUR_MS, 16, 4));
        vm.warp(SOLD_S);
        policy.salt = 2;
        _buy(policy);
        cover.settle(policy, _deep(2 * HOUR_MS, 16, 4));
        _record("settle, payout, depth 16 + 4, holder with credits", PAYOUT_GAS_MAX);
    }

    function testShowAndFinish() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _deep(FrameCodec.OPEN, 2 * HOUR_MS, 16, 4);
        _warpTo(policy.leg.deadlineS);
        cover.show(policy, proof);
        _record("show, depth 16 + 4", PAYOUT_GAS_MAX);
        vm.warp(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        _record("finish, payout, holder's first credit", PAYOUT_GAS_MAX);
        assertEq(_credit(holder), 300e6, "payout");
    }

    function testRelease() public {
        Policy memory policy = _policy();
        _buy(policy);
        cover.settle(policy, _deep(0, 16, 4));
        _record("settle, release, depth 16 + 4", PAYOUT_GAS_MAX);
    }

    function _record(string memory name, uint256 max) private {
        assertLe(vm.snapshotGasLastCall(GROUP, name), max, name);
    }
}
