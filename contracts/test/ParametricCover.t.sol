// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Policy} from "../src/Insurance.sol";
import {ParametricCover} from "../src/ParametricCover.sol";
import {FrameProof} from "../src/Settlement.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {IParametricCover} from "../src/interfaces/IParametricCover.sol";
import {CoverFixture} from "./CoverFixture.sol";

/// @notice A cover that was sold pays what its policy and the signed totals make due, once, and nothing else.
contract ParametricCoverTest is CoverFixture {
    // ---- Buying

    function testBuyTakesThePremiumAndLocks() public {
        bytes32 id = _buy(_policy());
        _expectState(id, IParametricCover.State.Open);
        assertEq(_capital(), CAPITAL + PREMIUM, "capital with the premium");
        assertEq(_lockedInPool(), MAXIMUM + PREMIUM, "locked");
        assertEq(_fund(), CAPITAL + PREMIUM, "in the vault");
        assertEq(pools.eventSold(pool, TENANT, LEG), MAXIMUM, "event");
    }

    function testBuyWithoutPremium() public {
        Policy memory policy = _policy();
        policy.premium = 0;
        _expectState(_buy(policy), IParametricCover.State.Open);
        assertEq(_lockedInPool(), MAXIMUM, "locked");
    }

    /// @notice Nobody is insured, or charged, without buying it.
    function testOnlyTheHolderBuys() public {
        Policy memory policy = _policy();
        bytes memory signature = _quote(policy);
        vm.expectRevert(
            abi.encodeWithSelector(IParametricCover.CallerNotAllowed.selector, address(this), holder)
        );
        cover.buy(policy, signature);
    }

    function testOnlyTheManagersQuoteIsSold() public {
        Policy memory policy = _policy();
        bytes32 id = cover.coverId(policy);
        _refuse(policy, _sign("holder", id), _ofManager());
        _refuse(policy, "", _ofManager());
        bytes memory signature = _quote(policy);
        policy.premium -= 1;
        _refuse(policy, signature, _ofManager());
    }

    function testQuoteOfAnUnknownPool() public {
        Policy memory policy = _policy();
        policy.pool = "none";
        _refuse(policy, abi.encodeWithSelector(ICoverPools.PoolUnknown.selector, policy.pool));
    }

    function testBuysOnce() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        _refuse(policy, _ofState(id, IParametricCover.State.Open));
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        _refuse(policy, _ofState(id, IParametricCover.State.Settled));
    }

    function testCancel() public {
        Policy memory policy = _policy();
        bytes32 id = cover.coverId(policy);
        vm.expectRevert(
            abi.encodeWithSelector(IParametricCover.CallerNotAllowed.selector, address(this), insurer)
        );
        cover.cancel(policy);
        vm.prank(insurer);
        cover.cancel(policy);
        _refuse(policy, _ofState(id, IParametricCover.State.Cancelled));
        _expectCoverState(id, IParametricCover.State.Cancelled);
        cover.finish(policy);
    }

    /// @notice What was sold cannot be taken back.
    function testCancelAfterPurchase() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        _expectCoverState(id, IParametricCover.State.Open);
        vm.prank(insurer);
        cover.cancel(policy);
    }

    function testSpanTooLong() public {
        Policy memory policy = _policy();
        policy.windowS = SPAN_S - 5 days;
        _buy(policy);
        policy.windowS += 1;
        _refuse(
            policy,
            abi.encodeWithSelector(
                IParametricCover.SpanTooLong.selector, SOLD_S + SPAN_S + 1, SOLD_S + SPAN_S
            )
        );
    }

    function testWindowTooShort() public {
        Policy memory policy = _policy();
        uint32 min = 2 * WINDOW_S;
        policy.windowS = min - 1;
        _refuse(policy, abi.encodeWithSelector(IParametricCover.WindowTooShort.selector, min - 1, min));
    }

    function testMaximumOutOfBounds() public {
        Policy memory policy = _policy();
        policy.maximum = 0;
        _refuse(policy, abi.encodeWithSelector(ICoverPools.MaximumOutOfBounds.selector, 0, OUTFLOW));
        policy.maximum = OUTFLOW + 1;
        _refuse(policy, abi.encodeWithSelector(ICoverPools.MaximumOutOfBounds.selector, OUTFLOW + 1, OUTFLOW));
    }

    function testDeductibleTooLarge() public {
        Policy memory policy = _policy();
        uint96 max = type(uint96).max - MAXIMUM;
        policy.deductible = max + 1;
        _refuse(policy, abi.encodeWithSelector(IParametricCover.DeductibleTooLarge.selector, max + 1, max));
    }

    function testLegAndTiersAreChecked() public {
        Policy memory policy = _policy();
        policy.leg.dueMs = policy.leg.beginMs - 1;
        _refuse(
            policy,
            abi.encodeWithSelector(
                ILegEvidence.LegTimes.selector,
                policy.leg.beginMs,
                policy.leg.dueMs,
                policy.leg.deadlineS,
                SOLD_S
            )
        );
        policy = _policy(_tiers(_tier(1, 1, 5, 1), _tier(1, 1, 5, 2)));
        _refuse(policy, abi.encodeWithSelector(ILegEvidence.TierOutOfOrder.selector, 1));
        policy = _policy(_tiers(_tier(0, 8, 5, 1)));
        policy.leg.dueMs = 0;
        _refuse(policy, abi.encodeWithSelector(ILegEvidence.TierInvalid.selector, 0));
    }

    // ---- The closing frame

    function testPayoutLessTheDeductible() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        _expectConcluded(id, 300e6, 700e6, 1);
        cover.settle(policy, proof);
        _expectState(id, IParametricCover.State.Settled);
        assertEq(_credit(holder), 300e6, "400 - 100");
        assertEq(_capital(), CAPITAL + PREMIUM - 300e6, "premium earned, payout gone");
        assertEq(_lockedInPool(), 0, "unlocked");
        assertEq(pools.poolOf(pool).paid, 300e6, "paid");
        assertEq(_fund(), _capital(), "in the vault");
    }

    function testTwoTiers() public {
        Policy memory policy = _policy();
        _buy(policy);
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 700e6, "800 - 100");
    }

    function testMaximumBoundsThePayout() public {
        Policy memory policy = _policy();
        policy.maximum = 650e6;
        _buy(policy);
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 650e6, "maximum");
    }

    function testBelowTheDeductible() public {
        Policy memory policy = _policy();
        policy.deductible = 400e6;
        bytes32 id = _buy(policy);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        _expectConcluded(id, 0, 1000e6, 1);
        cover.settle(policy, proof);
        assertEq(_credit(holder), 0, "nothing");
        assertEq(_capital(), CAPITAL + PREMIUM, "premium earned");
    }

    function testCleanLeg() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        FrameProof memory proof = _closing(0);
        _expectConcluded(id, 0, 1000e6, 0);
        cover.settle(policy, proof);
        assertEq(_lockedInPool(), 0, "unlocked");
        // The million virtual shares have a unit and a bit.
        assertEq(_leave(owner), CAPITAL + PREMIUM - 2, "all may leave");
    }

    function testLateness() public {
        Policy memory policy = _policy(_tiers(_tier(0, 8, 0, 250e6), _tier(1, 1, HOUR_MS, 400e6)));
        policy.leg.dueMs = BEGIN_MS + 47 * HOUR_MS;
        bytes32 id = _buy(policy);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        _expectConcluded(id, 550e6, 450e6, 3);
        cover.settle(policy, proof);
    }

    function testFrameNotClosing() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.FrameNotClosing.selector, 98));
        cover.settle(policy, proof);
    }

    function testSettleTooLate() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        uint256 endS = uint256(policy.leg.deadlineS) + policy.windowS;
        vm.warp(endS);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.TooLate.selector, endS, endS));
        cover.settle(policy, proof);
    }

    /// @notice With an uncertainty asked for, a channel without a certificate was not read.
    function testUncalibratedChannelPaysNothing() public {
        Policy memory policy = _policy();
        policy.uncertaintyMaxMilli = 500;
        _buy(policy);
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 0, "nothing");
    }

    function testCalibratedChannelPays() public {
        Policy memory policy = _policy();
        policy.uncertaintyMaxMilli = 500;
        _buy(policy);
        vm.prank(admin);
        gateways.calibrate(gatewayId, 1, "certificate", BEGIN_MS, BEGIN_MS + 100 * HOUR_MS, 500);
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 700e6, "paid");
    }

    // ---- Without a closing frame

    function testFinishFromTheNewestFrameShown() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        FrameProof memory first = _final(1, 97, _runs(_run(1, 4 * HOUR_MS)));
        FrameProof memory second = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        uint256 deadlineS = policy.leg.deadlineS;
        _warpTo(deadlineS);
        cover.show(policy, first);
        assertEq(cover.coverOf(id).amount, 800e6, "shown");
        cover.show(policy, second);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.FrameNotNewer.selector, 97, 98));
        cover.show(policy, first);
        uint256 endS = deadlineS + policy.windowS;
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.TooEarly.selector, block.timestamp, endS));
        cover.finish(policy);
        vm.warp(endS);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.TooLate.selector, endS, endS));
        cover.show(policy, second);
        _expectConcluded(id, 300e6, 700e6, 1);
        cover.finish(policy);
        assertEq(_credit(holder), 300e6, "by the newer one");
    }

    /// @notice A later frame that closes the leg takes the place of one shown.
    function testSettleAfterShow() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory open = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        FrameProof memory closing = _closing(4 * HOUR_MS);
        _warpTo(policy.leg.deadlineS);
        cover.show(policy, open);
        cover.settle(policy, closing);
        assertEq(_credit(holder), 700e6, "by the closing one");
    }

    function testShowBeforeTheDeadline() public {
        Policy memory policy = _policy();
        policy.leg.deadlineS += 10 days;
        _buy(policy);
        FrameProof memory open = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        vm.expectRevert(
            abi.encodeWithSelector(IParametricCover.TooEarly.selector, block.timestamp, policy.leg.deadlineS)
        );
        cover.show(policy, open);
    }

    function testShowOfAClosingFrame() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _closing(0);
        _warpTo(policy.leg.deadlineS);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.FrameCloses.selector, 99));
        cover.show(policy, proof);
    }

    function testSilencePaysIfTheTableSaysSo() public {
        Policy memory policy = _policy(_tiers(_tier(0, 9, 24 * HOUR_MS, 500e6)));
        _buy(policy);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        assertEq(_credit(holder), 400e6, "silence");
    }

    function testSilenceWithoutSuchATierPaysNothing() public {
        Policy memory policy = _policy();
        _buy(policy);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        assertEq(_credit(holder), 0, "nothing");
        assertEq(_lockedInPool(), 0, "unlocked");
    }

    // ---- The outflow limit

    /// @notice While the vault's limit is used up, what is due is decided, kept, and paid later in parts.
    function testOwedIsPaidAsTheLimitRecovers() public {
        ParametricCover narrow = new ParametricCover(gateways, anchors, vault);
        _use(narrow);
        vm.prank(steward);
        vault.admit(address(pools), address(token), 1000e6, 10 days);
        pool = pools.openPool(_poolTerms());
        _add(owner, CAPITAL);
        Policy memory first = _policy();
        Policy memory second = _policy();
        second.salt = 2;
        _buy(first);
        bytes32 id = _buy(second);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        cover.settle(first, proof);
        cover.settle(second, proof);
        _expectState(id, IParametricCover.State.Settled);
        assertEq(cover.coverOf(id).amount, 700e6, "owed");
        assertEq(_credit(holder), 700e6, "the first is paid");
        assertEq(_lockedInPool(), 0, "books closed");
        assertEq(_fund(), _capital() + 700e6, "kept in the fund");
        cover.pay(second);
        assertEq(_credit(holder), 1000e6, "as far as it goes");
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.OutflowUsedUp.selector, id, 400e6));
        cover.pay(second);
        vm.warp(block.timestamp + 4 days);
        cover.pay(second);
        assertEq(_credit(holder), 1400e6, "all");
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.NothingOwed.selector, id));
        cover.pay(second);
    }

    /// @notice What a shown frame makes due is not owed.
    function testPayNeedsAnEndedCover() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        FrameProof memory open = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        _warpTo(policy.leg.deadlineS);
        cover.show(policy, open);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.NothingOwed.selector, id));
        cover.pay(policy);
    }

    // ---- Identity

    /// @notice The cover id is the digest that docs/spec/cover.md says, written out here.
    function testCoverIdIsTheDigestOfTheSpec() public view {
        Policy memory p = _policy(_tiers(_tier(1, 5, 7, 400e6)));
        bytes32 tiers = keccak256(
            abi.encode(
                keccak256("Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"),
                1,
                5,
                7,
                400e6
            )
        );
        bytes32 leg = keccak256(
            abi.encode(
                keccak256(
                    "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)"
                ),
                p.leg
            )
        );
        bytes memory head = abi.encode(
            keccak256(
                "Policy(bytes32 pool,address holder,bytes32 tenant,uint64 startS,uint64 quoteUntilS,uint32 windowS,uint32 uncertaintyMaxMilli,uint96 maximum,uint96 deductible,uint96 premium,uint128 salt,Leg leg,Tier[] tiers)Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
            ),
            p.pool,
            p.holder,
            p.tenant,
            p.startS,
            p.quoteUntilS
        );
        bytes memory tail = abi.encode(
            p.windowS,
            p.uncertaintyMaxMilli,
            p.maximum,
            p.deductible,
            p.premium,
            p.salt,
            leg,
            keccak256(bytes.concat(tiers))
        );
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Lading ParametricCover"),
                keccak256("1"),
                block.chainid,
                address(cover)
            )
        );
        bytes32 digest = keccak256(bytes.concat(hex"1901", domain, keccak256(bytes.concat(head, tail))));
        assertEq(cover.coverId(p), digest, "digest");
    }

    function _refuse(Policy memory policy, bytes memory reason) private {
        _refuse(policy, _quote(policy), reason);
    }

    function _refuse(Policy memory policy, bytes memory signature, bytes memory reason) private {
        _pay(holder, policy.premium);
        uint256 nowS = block.timestamp;
        vm.warp(SOLD_S);
        vm.expectRevert(reason);
        vm.prank(policy.holder);
        cover.buy(policy, signature);
        vm.warp(nowS);
    }

    function _ofManager() private view returns (bytes memory) {
        return abi.encodeWithSelector(IParametricCover.SignatureOfManager.selector, insurer);
    }

    function _ofState(bytes32 id, IParametricCover.State state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IParametricCover.CoverState.selector, id, state);
    }

    function _expectState(bytes32 id, IParametricCover.State state) private view {
        assertEq(uint256(_state(id)), uint256(state), "state");
    }

    function _expectConcluded(bytes32 id, uint256 payout, uint256 rest, uint256 reached) private {
        vm.expectEmit(address(cover));
        emit IParametricCover.Concluded(id, LEG, payout, rest, reached);
    }
}
