// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy, PoolTerms} from "../src/Insurance.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {ICreditVault} from "../src/interfaces/ICreditVault.sol";
import {CoverFixture} from "./CoverFixture.sol";

/// @notice Capital enters and leaves a pool at a price that never favours who acts.
contract CoverPoolsTest is CoverFixture {
    address private newcomer = actor("newcomer");

    // ---- Opening

    function testOpenPoolKeepsItsTerms() public view {
        ICoverPools.Pool memory found = pools.poolOf(pool);
        assertEq(found.manager, insurer, "manager");
        assertEq(found.token, address(token), "token");
        assertEq(found.eventMax, 2500e6, "event");
        assertEq(found.aggregateMax, 50_000e6, "aggregate");
        assertEq(found.capital, CAPITAL, "capital");
        assertEq(_fund(), CAPITAL, "in the vault");
    }

    function testPoolKnown() public {
        PoolTerms memory terms = _poolTerms();
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.PoolKnown.selector, pool));
        pools.openPool(terms);
    }

    function testPoolInvalid() public {
        PoolTerms memory terms = _poolTerms();
        terms.manager = address(0);
        _refusePool(terms);
        terms = _poolTerms();
        terms.token = address(0);
        _refusePool(terms);
        terms = _poolTerms();
        terms.eventMax = 0;
        _refusePool(terms);
        terms = _poolTerms();
        terms.aggregateMax = 0;
        _refusePool(terms);
        terms = _poolTerms();
        terms.waitingS = terms.spanS;
        _refusePool(terms);
    }

    /// @notice Capital that comes and goes at once could use up the vault's outflow limit again and again.
    function testNoticeTooShort() public {
        PoolTerms memory terms = _poolTerms();
        terms.noticeS = WINDOW_S - 1;
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.NoticeTooShort.selector, WINDOW_S - 1, WINDOW_S));
        pools.openPool(terms);
    }

    function testPoolUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.PoolUnknown.selector, bytes32("none")));
        pools.add("none", 1, 0);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.PoolUnknown.selector, bytes32("none")));
        pools.announce("none", 0);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.PoolUnknown.selector, bytes32("none")));
        pools.remove("none", 0, 0);
    }

    // ---- Entering

    function testAddTakesTheDepositAndGivesShares() public {
        uint256 shares = _add(newcomer, 5000e6);
        assertEq(pools.holdingOf(pool, newcomer).shares, shares, "held");
        // 5000e6 · (10000e6 · 1e6 + 1e6) / (10000e6 + 1): a million shares a unit.
        assertEq(shares, 5000e12, "shares");
        assertEq(_capital(), 15_000e6, "capital");
        assertEq(vault.depositOf(address(pools), address(token), newcomer).free, 0, "taken");
    }

    function testAddNeedsTheDeposit() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                ICreditVault.DepositTooSmall.selector, address(pools), address(token), newcomer, 5, 0
            )
        );
        vm.prank(newcomer);
        pools.add(pool, 5, 0);
    }

    function testSharesTooFew() public {
        _pay(newcomer, 5e6);
        vm.startPrank(newcomer);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.SharesTooFew.selector, 5e12, 5e12 + 1));
        pools.add(pool, 5e6, 5e12 + 1);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.SharesTooFew.selector, 0, 0));
        pools.add(pool, 0, 0);
        vm.stopPrank();
    }

    /// @notice Entering just before a premium is earned gains nothing: it is paid for.
    function testEnteringBeforeAPremiumIsEarnedGainsNothing() public {
        Policy memory policy = _policy();
        policy.premium = 1000e6;
        _buy(policy);
        _add(newcomer, 5000e6);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        assertLe(_leave(newcomer), 5000e6, "no gain");
        assertLe(11_000e6 - 2, _leave(owner), "who bore the risk has the premium");
    }

    // ---- Leaving

    function testAddAndRemoveGivesNoMore(uint96 amount, uint96 premium, uint96 before) public {
        amount = uint96(bound(amount, 1, 1e24));
        _add(newcomer, bound(before, 1, 1e24));
        Policy memory policy = _policy();
        policy.premium = uint96(bound(premium, 0, 40_000e6));
        _buy(policy);
        _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        cover.finish(policy);
        address late = actor("late");
        _add(late, amount);
        uint256 shares = pools.holdingOf(pool, late).shares;
        // Worth nothing where the amount is less than one share's price; then it cannot leave at all.
        if (shares * _capital() / (pools.poolOf(pool).shares + 1e6) == 0) return;
        vm.prank(late);
        pools.announce(pool, shares);
        vm.warp(block.timestamp + NOTICE_S);
        uint256 most = shares * _capital() / (pools.poolOf(pool).shares + 1e6);
        if (most > OUTFLOW) return;
        vm.prank(late);
        assertLe(pools.remove(pool, shares, 0), amount, "no gain");
    }

    function testRemoveAllOfAPoolAtRest() public {
        _add(newcomer, 5000e6);
        // A unit at most is lost to rounding, for good.
        assertLe(CAPITAL - 1, _leave(owner), "owner");
        assertLe(5000e6 - 1, _leave(newcomer), "newcomer");
        assertEq(_credit(newcomer) + _credit(owner) + _capital(), 15_000e6, "all there");
    }

    function testNoticeRuns() public {
        uint256 shares = pools.holdingOf(pool, owner).shares;
        uint64 leaveS = SOLD_S + NOTICE_S;
        vm.startPrank(owner);
        pools.announce(pool, shares);
        vm.warp(leaveS - 1);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.NoticeRuns.selector, leaveS - 1, leaveS));
        pools.remove(pool, shares, 0);
        pools.announce(pool, shares);
        vm.warp(leaveS);
        vm.expectRevert(
            abi.encodeWithSelector(ICoverPools.NoticeRuns.selector, leaveS, leaveS - 1 + NOTICE_S)
        );
        pools.remove(pool, shares, 0);
        vm.stopPrank();
    }

    function testSharesNotHeldOrAnnounced() public {
        uint256 shares = pools.holdingOf(pool, owner).shares;
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.SharesNotHeld.selector, shares + 1, shares));
        pools.announce(pool, shares + 1);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.SharesNotAnnounced.selector, 1, 0));
        pools.remove(pool, 1, 0);
        pools.announce(pool, shares / 2);
        vm.warp(SOLD_S + NOTICE_S);
        pools.remove(pool, shares / 2, 0);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.SharesNotAnnounced.selector, 1, 0));
        pools.remove(pool, 1, 0);
        vm.stopPrank();
    }

    function testAmountTooSmall() public {
        uint256 shares = pools.holdingOf(pool, owner).shares;
        vm.startPrank(owner);
        pools.announce(pool, shares);
        vm.warp(SOLD_S + NOTICE_S);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.AmountTooSmall.selector, CAPITAL - 1, CAPITAL));
        pools.remove(pool, shares, CAPITAL);
        // Less than a unit's worth of shares.
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.AmountTooSmall.selector, 0, 0));
        pools.remove(pool, 999_999, 0);
        vm.stopPrank();
    }

    /// @notice Only the contract that judges evidence books covers.
    function testOnlyTheSellerBooks() public {
        bytes memory refusal =
            abi.encodeWithSelector(ICoverPools.CallerNotAllowed.selector, address(this), address(cover));
        vm.expectRevert(refusal);
        pools.sell(pool, owner, TENANT, LEG, 1, 0);
        vm.expectRevert(refusal);
        pools.end(pool, newcomer, 0, 0, 1);
        vm.expectRevert(refusal);
        pools.payOwed(pool, newcomer, 1);
    }

    /// @notice Pools of one token do not reach one another's capital.
    function testPoolsAreApart() public {
        PoolTerms memory terms = _poolTerms();
        terms.salt = 2;
        bytes32 second = pools.openPool(terms);
        _add(second, newcomer, 300e6);
        Policy memory policy = _policy();
        policy.pool = second;
        policy.maximum = 301e6;
        _pay(holder, PREMIUM);
        bytes memory signature = _quote(policy);
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.CapitalTooSmall.selector, second, 301e6, 300e6));
        vm.prank(holder);
        cover.buy(policy, signature);
        assertEq(_fund(), CAPITAL, "the first has its own");
    }

    function _refusePool(PoolTerms memory terms) private {
        vm.expectRevert(abi.encodeWithSelector(ICoverPools.PoolInvalid.selector));
        pools.openPool(terms);
    }
}
