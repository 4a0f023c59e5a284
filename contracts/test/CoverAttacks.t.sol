// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Policy, PoolTerms} from "../src/Insurance.sol";
import {ParametricCover} from "../src/ParametricCover.sol";
import {FrameProof, RunProof} from "../src/Settlement.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {IGatewayRegistry} from "../src/interfaces/IGatewayRegistry.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {IParametricCover} from "../src/interfaces/IParametricCover.sol";
import {CoverFixture} from "./CoverFixture.sol";
import {Burner} from "./Legs.t.sol";
import {BlockingToken, FeeToken} from "./Tokens.sol";

/// @dev Says yes to one digest, as a wallet contract does, or burns all gas.
contract ManagerWallet {
    bytes32 private immutable digest;

    constructor(bytes32 digest_) {
        digest = digest_;
    }

    function isValidSignature(bytes32 asked, bytes calldata) external view returns (bytes4) {
        while (digest == 0) {}
        return asked == digest ? bytes4(0x1626ba7e) : bytes4(0);
    }
}

/// @notice Attacks on a pool's money: by who insures, who is insured, who owns shares, and who signs or replays.
contract CoverAttacksTest is CoverFixture {
    address private attacker = actor("attacker");

    // ---- Who insures

    /// @notice An owner that sees a claim coming leaves without what the claim could need: those who stay lose nothing by it.
    function testInsurerWithdrawsBeforeTheClaim() public {
        _add(attacker, CAPITAL);
        Policy memory policy = _policy();
        _buy(policy);
        uint256 left = _leave(attacker);
        // Half of 20 000 − 1000, as if the claim were already paid in full.
        assertLe(left, 9500e6, "pays for the claim");
        assertLe(_lockedInPool(), _capital(), "still covered");
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 700e6, "paid in full");
        assertLe(CAPITAL - 350e6, _capital(), "who stayed bears its own half, or less");
    }

    /// @notice All owners leaving together cannot take what is locked.
    function testLockedCapitalCannotLeave() public {
        Policy memory policy = _policy();
        _buy(policy);
        uint256 shares = pools.holdingOf(pool, owner).shares - 1;
        vm.startPrank(owner);
        pools.announce(pool, shares);
        vm.warp(block.timestamp + NOTICE_S);
        assertLe(pools.remove(pool, shares, 0), CAPITAL - MAXIMUM, "only the free part");
        vm.stopPrank();
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 700e6, "paid in full");
    }

    function testCoverAboveFreeCapital() public {
        Policy memory policy = _policy();
        policy.maximum = 2500e6;
        for (uint128 i = 0; i < 4; ++i) {
            policy.leg.legId = bytes32(uint256(i + 1));
            _buy(policy);
        }
        // 10 000 are locked; premiums do not count as capital that is free.
        policy.leg.legId = "one more";
        policy.maximum = 1;
        _refuse(policy, abi.encodeWithSelector(ICoverPools.CapitalTooSmall.selector, pool, 1, 0));
    }

    /// @notice However many covers are sold over one leg, their maxima are within the pool's limit for it.
    function testOneEventUnderManyCovers() public {
        Policy memory policy = _policy();
        _buy(policy);
        policy.salt = 2;
        _buy(policy);
        policy.salt = 3;
        _refuse(policy, abi.encodeWithSelector(ICoverPools.EventAboveMax.selector, pool, MAXIMUM, 500e6));
        // The same leg signed by another gateway is the same event.
        policy.leg.gatewayId = _register(0x6a7f);
        _refuse(policy, abi.encodeWithSelector(ICoverPools.EventAboveMax.selector, pool, MAXIMUM, 500e6));
        policy.maximum = 500e6;
        _buy(policy);
    }

    /// @notice What a pool pays and has open together stays within its aggregate limit, over any number of covers.
    function testAggregateLimitOverManyCovers() public {
        PoolTerms memory terms = _poolTerms();
        terms.aggregateMax = 1200e6;
        pool = pools.openPool(terms);
        _add(owner, CAPITAL);
        Policy memory first = _policy();
        _buy(first);
        Policy memory second = _policy();
        (second.salt, second.leg.legId) = (2, "another leg");
        // 1200 − (1000 + 50) are left.
        _refuse(
            second,
            abi.encodeWithSelector(ICoverPools.AggregateAboveMax.selector, pool, MAXIMUM + PREMIUM, 150e6)
        );
        cover.settle(first, _closing(4 * HOUR_MS));
        vm.warp(SOLD_S);
        // 700 were paid.
        _refuse(
            second,
            abi.encodeWithSelector(ICoverPools.AggregateAboveMax.selector, pool, MAXIMUM + PREMIUM, 500e6)
        );
        second.maximum = 450e6;
        _buy(second);
    }

    /// @notice A quote ends with its time: nobody picks an old price once more is known.
    function testManagersStaleQuote() public {
        Policy memory policy = _policy();
        vm.warp(policy.quoteUntilS + 1);
        _refuse(
            policy,
            abi.encodeWithSelector(
                IParametricCover.QuoteExpired.selector, policy.quoteUntilS + 1, policy.quoteUntilS
            )
        );
        vm.warp(policy.quoteUntilS);
        _buy(policy);
    }

    // ---- Who is insured

    /// @notice A cover starts after the waiting time, and the leg begins after the cover.
    function testBuysAfterTheEvent() public {
        Policy memory policy = _policy();
        policy.quoteUntilS = START_S;
        vm.warp(START_S - WAITING_S + 1);
        _refuse(policy, _ofStart(policy, START_S + 1));
        policy.startS = START_S + 1;
        _refuse(policy, _ofStart(policy, START_S + 1));
        vm.warp(START_S - WAITING_S);
        policy.startS = START_S;
        _buy(policy);
    }

    /// @notice A leg that in truth began before the cover's start is not covered, whatever begin the policy names.
    function testEventBeforeTheStart() public {
        Policy memory policy = _policy();
        (policy.startS, policy.leg.beginMs) = (START_S + 1, BEGIN_MS + 1000);
        _buy(policy);
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_credit(holder), 0, "its readings begin at START_S");
    }

    /// @notice The same by an open frame: not even the time without readings is paid.
    function testEventBeforeTheStartIsNotShown() public {
        Policy memory policy = _policy();
        (policy.startS, policy.leg.beginMs) = (START_S + 1, BEGIN_MS + 1000);
        bytes32 id = _buy(policy);
        FrameProof memory open = _final(1, 98, _runs(_run(1, 4 * HOUR_MS)));
        _warpTo(policy.leg.deadlineS);
        cover.show(policy, open);
        assertEq(cover.coverOf(id).amount, 0, "nothing due");
    }

    /// @notice Silence is not sold over a gateway that nobody can hear: unknown to the registry, ...
    function testGatewayUnknownToTheRegistry() public {
        Policy memory policy = _policy(_tiers(_tier(0, 9, HOUR_MS, 400e6)));
        policy.leg.gatewayId = "not registered";
        _refuse(
            policy, abi.encodeWithSelector(IGatewayRegistry.GatewayUnknown.selector, policy.leg.gatewayId)
        );
    }

    /// @notice ... revoked before the leg begins, or to be so before its deadline, ...
    function testGatewayRevokedBeforeTheSale() public {
        Policy memory policy = _policy(_tiers(_tier(0, 9, HOUR_MS, 400e6)));
        uint64 deadlineMs = policy.leg.deadlineS * 1000;
        vm.prank(admin);
        gateways.revoke(gatewayId, deadlineMs);
        _refuse(policy, _ofValidity(deadlineMs, deadlineMs));
        vm.prank(admin);
        gateways.revoke(gatewayId, BEGIN_MS);
        _refuse(policy, _ofValidity(BEGIN_MS, BEGIN_MS));
    }

    /// @notice ... or of another tenant, whose frames would not count.
    function testGatewayOfAnotherTenant() public {
        vm.prank(registrar);
        gateways.enrolTenant("another", admin);
        Policy memory policy = _policy(_tiers(_tier(0, 9, HOUR_MS, 400e6)));
        policy.tenant = "another";
        _refuse(
            policy,
            abi.encodeWithSelector(IParametricCover.GatewayTenant.selector, TENANT, bytes32("another"))
        );
    }

    /// @notice Nor over a leg that no frame can be of.
    function testLegUnnamed() public {
        Policy memory policy = _policy(_tiers(_tier(0, 9, HOUR_MS, 400e6)));
        policy.leg.legId = 0;
        _refuse(policy, abi.encodeWithSelector(ILegEvidence.LegUnnamed.selector, bytes32(0), LIMITS));
        (policy.leg.legId, policy.leg.limitsHash) = (LEG, 0);
        _refuse(policy, abi.encodeWithSelector(ILegEvidence.LegUnnamed.selector, LEG, bytes32(0)));
    }

    /// @notice A frame signed before the leg's planned begin, shown, pays no more than none at all.
    function testAnEarlyFrameIsNoLongerSilence() public {
        Policy memory policy = _policy(_tiers(_tier(0, 9, 72 * HOUR_MS, 400e6)));
        _buy(policy);
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, 0));
        FrameCodec.Header memory header = _header(1, 50, runs);
        header.sentMs = BEGIN_MS - 1000;
        FrameProof memory early = _final(header, runs);
        early.runs = new RunProof[](0);
        _warpTo(policy.leg.deadlineS);
        cover.show(policy, early);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        assertEq(_credit(holder), 0, "72 h from the begin, not a second more");
    }

    /// @notice A vault that burns all its gas, with enough left here to write a debt, fails the step.
    function testAVaultThatBurnsGasMakesNoDebt() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        vm.etch(address(vault), address(new Burner()).code);
        try cover.settle{gas: 20_000_000}(policy, proof) {
            assertTrue(false, "concluded without paying");
        } catch (bytes memory reason) {
            assertEq(reason.length, 0, "the vault's failure");
        }
        assertTrue(_state(id) == IParametricCover.State.Open, "as before");
    }

    /// @notice A tier of more than 96 bits is worth the maximum when its frame is shown, not what is left of its low bits.
    function testAHugeTierIsNotCutOff() public {
        Policy memory policy = _policy(_tiers(_tier(1, 1, HOUR_MS, 1 << 96)));
        _buy(policy);
        FrameProof memory open = _final(1, 98, _runs(_run(1, 2 * HOUR_MS)));
        _warpTo(policy.leg.deadlineS);
        cover.show(policy, open);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        assertEq(_credit(holder), MAXIMUM, "the maximum");
    }

    /// @notice Silence is judged only when nothing can be shown any more.
    function testFinishBeforeTheWindowEnds() public {
        Policy memory policy = _policy();
        _buy(policy);
        uint256 endS = uint256(policy.leg.deadlineS) + policy.windowS;
        vm.warp(endS - 1);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.TooEarly.selector, endS - 1, endS));
        cover.finish(policy);
        vm.warp(endS);
        cover.finish(policy);
    }

    function testClaimsTwice() public {
        Policy memory policy = _policy();
        bytes32 id = _buy(policy);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        cover.settle(policy, proof);
        _expectCoverState(id, IParametricCover.State.Settled);
        cover.settle(policy, proof);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        _expectCoverState(id, IParametricCover.State.Settled);
        cover.finish(policy);
        assertEq(_credit(holder), 700e6, "once");
    }

    /// @notice Two covers over one leg both pay, each what it was sold for: their maxima are within the event's limit.
    function testClaimsUnderTwoCovers() public {
        Policy memory first = _policy();
        Policy memory second = _policy();
        second.salt = 2;
        _buy(first);
        _buy(second);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        cover.settle(first, proof);
        cover.settle(second, proof);
        assertEq(_credit(holder), 1400e6, "each");
        assertLe(_credit(holder), pools.poolOf(pool).eventMax, "within the event's limit");
    }

    /// @notice Evidence of another leg, gateway or tenant ends no cover.
    function testEvidenceOfAnotherLeg() public {
        Policy memory policy = _policy();
        policy.leg.legId = "another leg";
        _buy(policy);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        vm.expectRevert(abi.encodeWithSelector(ILegEvidence.FrameLeg.selector, LEG, policy.leg.legId));
        cover.settle(policy, proof);
    }

    function testIntervalNotFinal() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        vm.warp(uint256(proof.anchored.anchoredS) + WINDOW_S - 1);
        vm.expectRevert(abi.encodeWithSelector(ILegEvidence.IntervalNotFinal.selector, proof.interval));
        cover.settle(policy, proof);
    }

    /// @notice A policy changed in any part is another one, which nobody bought.
    function testPolicyTampered() public {
        Policy memory policy = _policy();
        _buy(policy);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        policy.deductible = 0;
        _expectCoverState(cover.coverId(policy), IParametricCover.State.None);
        cover.settle(policy, proof);
        (policy.deductible, policy.holder) = (DEDUCTIBLE, attacker);
        _expectCoverState(cover.coverId(policy), IParametricCover.State.None);
        cover.settle(policy, proof);
    }

    // ---- Who owns shares

    /// @notice The first owner inflates the price of a share by premiums to itself, so that a later deposit would buy none:
    /// it costs more than can be won.
    function testShareInflationOnTheFirstDeposit() public {
        PoolTerms memory terms = _poolTerms();
        (terms.manager, terms.salt) = (attacker, 2);
        pool = pools.openPool(terms);
        _add(attacker, 1);
        Policy memory policy = _policy();
        (policy.holder, policy.maximum, policy.premium) = (attacker, 1, 1000e6);
        _pay(attacker, policy.premium);
        bytes memory signature = _sign("attacker", cover.coverId(policy));
        vm.prank(attacker);
        cover.buy(policy, signature);
        uint256 shares = _add(owner, 100e6);
        // The victim's 100 at a price of (1000 + 1 unit + 1) for (1 + 1) million shares.
        assertLe(199_999, shares, "shares of the victim");
        vm.prank(insurer);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        uint256 won = _leave(attacker);
        assertLe(won, 550e6, "the attacker lost half of what it put in");
        assertLe(99e6, _leave(owner), "the victim keeps its own");
    }

    /// @notice Rounding never favours who acts: many small steps take out no more than was put in.
    function testRoundingNeverFavoursWhoActs(uint96[8] calldata amounts) public {
        Policy memory policy = _policy();
        policy.premium = 333_333_333;
        _buy(policy);
        cover.settle(policy, _closing(2 * HOUR_MS));
        uint256 spent = 0;
        for (uint256 i = 0; i < amounts.length; ++i) {
            uint256 amount = bound(amounts[i], 1, 1e6);
            spent += amount;
            _add(attacker, amount);
        }
        uint256 held = pools.holdingOf(pool, attacker).shares;
        vm.startPrank(attacker);
        pools.announce(pool, held);
        vm.warp(block.timestamp + NOTICE_S);
        uint256 taken = 0;
        for (uint256 i = 1; i <= amounts.length; ++i) {
            uint256 part = held / amounts.length;
            if (part * _capital() / (pools.poolOf(pool).shares + 1e6) == 0) continue;
            taken += pools.remove(pool, part, 0);
        }
        vm.stopPrank();
        assertLe(taken, spent, "no gain");
    }

    /// @notice The last shares stay while a cover is open: what it locks would be nobody's when it ends.
    function testLastSharesStayWhileACoverIsOpen() public {
        Policy memory policy = _policy();
        _buy(policy);
        uint256 shares = pools.holdingOf(pool, owner).shares;
        vm.startPrank(owner);
        pools.announce(pool, shares);
        vm.warp(block.timestamp + NOTICE_S);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.LastShares.selector, pool, MAXIMUM + PREMIUM));
        pools.remove(pool, shares, 0);
        vm.stopPrank();
        cover.settle(policy, _closing(0));
        assertEq(_leave(owner), CAPITAL + PREMIUM - 2, "and leave with all when it has ended");
    }

    /// @notice Nobody announces once and keeps the door open for good, to be the first out when a loss is in sight.
    function testNoticeLapses() public {
        uint256 shares = pools.holdingOf(pool, owner).shares;
        vm.startPrank(owner);
        pools.announce(pool, shares);
        uint64 untilS = SOLD_S + NOTICE_S + 7 days;
        vm.warp(untilS);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.NoticeLapsed.selector, untilS, untilS));
        pools.remove(pool, shares, 0);
        vm.warp(untilS - 1);
        pools.remove(pool, shares, 0);
        vm.stopPrank();
    }

    /// @notice A pool that lost everything takes no more capital: new shares would be so many that a few losses more
    /// would leave no number for them. Its owners keep theirs; another pool is opened.
    function testALostPoolTakesNoMoreCapital() public {
        PoolTerms memory terms = _poolTerms();
        terms.salt = 2;
        pool = pools.openPool(terms);
        uint256 shares = _add(owner, MAXIMUM);
        Policy memory policy = _policy();
        (policy.premium, policy.deductible) = (0, 0);
        policy.tiers[1].amount = 600e6;
        _buy(policy);
        cover.settle(policy, _closing(4 * HOUR_MS));
        assertEq(_capital(), 0, "all is lost");
        _pay(attacker, 1000e6);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.PoolLost.selector, pool, shares, 0));
        vm.prank(attacker);
        pools.add(pool, 1000e6, 0);
    }

    /// @notice Capital is bounded, so that shares and what they are worth always have room.
    function testCapitalAboveMax() public {
        uint256 max = type(uint96).max;
        _refuseAdd(type(uint256).max);
        _refuseAdd(max - CAPITAL);
        _add(attacker, max - CAPITAL - 1);
        assertEq(_capital() + 1, max, "as much as there may be");
        _refuseAdd(1);
    }

    function _refuseAdd(uint256 amount) private {
        vm.expectRevert(
            abi.encodeWithSelector(ICoverPools.CapitalAboveMax.selector, amount, type(uint96).max)
        );
        vm.prank(attacker);
        pools.add(pool, amount, 0);
    }

    /// @notice Capital that enters and leaves again cannot keep the outflow limit used up: it has to wait each time.
    function testOutflowGriefingByCapital() public {
        _add(attacker, 50_000e6);
        uint256 shares = pools.holdingOf(pool, attacker).shares;
        vm.startPrank(attacker);
        pools.announce(pool, shares);
        vm.warp(block.timestamp + NOTICE_S);
        pools.remove(pool, shares, 0);
        uint256 credit = _credit(attacker);
        vault.depositCredit(address(pools), address(token), credit);
        shares = pools.add(pool, credit, 0);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.SharesNotAnnounced.selector, shares, 0));
        pools.remove(pool, shares, 0);
        vm.stopPrank();
    }

    // ---- Signatures and replay

    function testQuoteOfAnotherChain() public {
        Policy memory policy = _policy();
        bytes memory signature = _quote(policy);
        vm.chainId(block.chainid + 1);
        _refuse(policy, signature, _ofManager());
    }

    function testQuoteForAnotherContract() public {
        Policy memory policy = _policy();
        bytes memory signature = _quote(policy);
        ParametricCover other = new ParametricCover(gateways, anchors, vault);
        _use(other);
        vm.prank(steward);
        vault.admit(address(pools), address(token), OUTFLOW, 1 days);
        pool = pools.openPool(_poolTerms());
        policy.pool = pool;
        _refuse(policy, signature, _ofManager());
    }

    /// @notice A manager may be a wallet contract; one that burns all gas stops its own pool's sales only.
    function testManagerIsAContract() public {
        PoolTerms memory terms = _poolTerms();
        (terms.manager, terms.salt) = (address(new ManagerWallet(0)), 2);
        bytes32 burning = pools.openPool(terms);
        Policy memory policy = _policy();
        policy.pool = burning;
        _pay(holder, PREMIUM);
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.SignatureOfManager.selector, terms.manager));
        vm.prank(holder);
        cover.buy{gas: 5_000_000}(policy, "");
        _buy(_policy());
    }

    // ---- Tokens and payees

    /// @notice A payee that the token blocks keeps its credits, and stops nobody else.
    function testBlockedPayeeStopsNobody() public {
        BlockingToken blocking = new BlockingToken();
        _usePoolOf(address(blocking));
        Policy memory first = _policy();
        Policy memory second = _policy();
        (second.salt, second.holder) = (2, actor("another holder"));
        _buy(first);
        _buy(second);
        blocking.setBlocked(holder, true);
        FrameProof memory proof = _closing(4 * HOUR_MS);
        cover.settle(first, proof);
        cover.settle(second, proof);
        vm.prank(second.holder);
        vault.withdraw(address(blocking), 700e6, second.holder);
        vm.startPrank(holder);
        vm.expectRevert(abi.encodeWithSelector(BlockingToken.Blocked.selector, holder));
        vault.withdraw(address(blocking), 700e6, holder);
        vault.withdraw(address(blocking), 700e6, actor("a free address"));
        vm.stopPrank();
    }

    /// @notice A token that keeps a fee does not get into the vault, so no pool counts what is not there.
    function testFeeTokenGivesNoCapital() public {
        FeeToken fee = new FeeToken();
        vm.startPrank(steward);
        vault.allowToken(address(fee), true);
        vault.admit(address(pools), address(fee), OUTFLOW, 1 days);
        vm.stopPrank();
        fee.mint(owner, 1000);
        vm.startPrank(owner);
        fee.approve(address(vault), 1000);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.AmountReceived.selector, 990, 1000));
        vault.deposit(address(pools), address(fee), 1000);
        vm.stopPrank();
    }

    /// @notice A fund in the vault is nobody's: its owner's address cannot be called for.
    function testFundIsNobodys() public {
        address fund = vault.fundOf(address(pools), pool);
        assertTrue(fund != vault.fundOf(address(escrow), pool), "of one product");
        vm.expectRevert(
            abi.encodeWithSelector(
                ICreditVault.DepositTooSmall.selector, address(pools), address(token), fund, 1, 0
            )
        );
        vm.prank(fund);
        vault.reclaim(address(pools), address(token), 1, attacker);
    }

    /// @dev The holder buys, with the manager's quote.
    function _refuse(Policy memory policy, bytes memory reason) private {
        _refuse(policy, _quote(policy), reason);
    }

    function _refuse(Policy memory policy, bytes memory signature, bytes memory reason) private {
        _pay(policy.holder, policy.premium);
        vm.expectRevert(reason);
        vm.prank(policy.holder);
        cover.buy(policy, signature);
    }

    function _usePoolOf(address other) private {
        token = BlockingToken(other);
        vm.startPrank(steward);
        vault.allowToken(other, true);
        vault.admit(address(pools), other, OUTFLOW, 1 days);
        vm.stopPrank();
        pool = pools.openPool(_poolTerms());
        _add(owner, CAPITAL);
    }

    function _ofValidity(uint64 eventMs, uint64 untilMs) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IGatewayRegistry.GatewayNotValid.selector, gatewayId, eventMs, BEGIN_MS - HOUR_MS, untilMs
        );
    }

    function _ofManager() private view returns (bytes memory) {
        return abi.encodeWithSelector(IParametricCover.SignatureOfManager.selector, insurer);
    }

    function _ofStart(Policy memory policy, uint256 minS) private pure returns (bytes memory) {
        return abi.encodeWithSelector(
            IParametricCover.StartTooEarly.selector, policy.startS, minS, policy.leg.beginMs
        );
    }
}
