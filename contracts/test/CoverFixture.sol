// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy, PoolTerms} from "../src/Insurance.sol";
import {ParametricCover} from "../src/ParametricCover.sol";
import {FrameProof, Leg, Tier} from "../src/Settlement.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {IParametricCover} from "../src/interfaces/IParametricCover.sol";
import {DeepFixture} from "./DeepFixture.sol";

/// @dev A pool with capital, and policies over the leg of LegFixture, which begins two days after the purchase.
abstract contract CoverFixture is DeepFixture {
    uint64 internal constant SOLD_S = START_S - 2 days;
    uint32 internal constant WAITING_S = 1 days;
    uint32 internal constant SPAN_S = 60 days;
    uint32 internal constant NOTICE_S = 7 days;
    uint96 internal constant CAPITAL = 10_000e6;
    uint96 internal constant MAXIMUM = 1000e6;
    uint96 internal constant PREMIUM = 50e6;
    uint96 internal constant DEDUCTIBLE = 100e6;
    uint96 internal constant OUTFLOW = 100_000e6;

    ParametricCover internal cover;
    ICoverPools internal pools;
    bytes32 internal pool;

    address internal insurer = actor("insurer");
    address internal owner = actor("owner of shares");
    address internal holder = actor("holder");

    function setUp() public virtual override {
        super.setUp();
        vm.warp(SOLD_S);
        _use(new ParametricCover(gateways, anchors, vault));
        vm.prank(steward);
        vault.admit(address(pools), address(token), OUTFLOW, 1 days);
        pool = pools.openPool(_poolTerms());
        _add(owner, CAPITAL);
    }

    function _use(ParametricCover other) internal {
        (cover, pools) = (other, other.pools());
    }

    // ---- Pool

    function _poolTerms() internal view returns (PoolTerms memory) {
        return PoolTerms(insurer, address(token), 2500e6, 50_000e6, WAITING_S, SPAN_S, NOTICE_S, 1);
    }

    function _pay(address from, uint256 amount) internal {
        token.mint(from, amount);
        vm.startPrank(from);
        token.approve(address(vault), amount);
        vault.deposit(address(pools), address(token), amount);
        vm.stopPrank();
    }

    function _add(address from, uint256 amount) internal returns (uint256) {
        return _add(pool, from, amount);
    }

    function _add(bytes32 id, address from, uint256 amount) internal returns (uint256) {
        _pay(from, amount);
        vm.prank(from);
        return pools.add(id, amount, 0);
    }

    /// @dev All that an owner holds, announced and the notice over.
    function _leave(address who) internal returns (uint256 amount) {
        uint256 shares = pools.holdingOf(pool, who).shares;
        vm.prank(who);
        pools.announce(pool, shares);
        vm.warp(block.timestamp + NOTICE_S);
        vm.prank(who);
        return pools.remove(pool, shares, 0);
    }

    function _capital() internal view returns (uint256) {
        return pools.poolOf(pool).capital;
    }

    function _lockedInPool() internal view returns (uint256) {
        return pools.poolOf(pool).locked;
    }

    /// @dev What the vault holds for the pool.
    function _fund() internal view returns (uint256) {
        return vault.depositOf(address(pools), address(token), vault.fundOf(address(pools), pool)).locked;
    }

    // ---- Policies

    function _leg() internal view returns (Leg memory) {
        return Leg(gatewayId, LEG, LIMITS, BEGIN_MS, BEGIN_MS + 50 * HOUR_MS, START_S + 72 hours);
    }

    function _policy(Tier[] memory tiers) internal view returns (Policy memory policy) {
        policy.pool = pool;
        policy.holder = holder;
        policy.tenant = TENANT;
        policy.startS = START_S;
        policy.quoteUntilS = SOLD_S + 1 hours;
        policy.windowS = SHOW_S;
        policy.maximum = MAXIMUM;
        policy.deductible = DEDUCTIBLE;
        policy.premium = PREMIUM;
        policy.salt = 1;
        policy.leg = _leg();
        policy.tiers = tiers;
    }

    /// @dev Above 8 °C for more than an hour on channel 1: 400; more than 3 h: 400 more.
    function _policy() internal view returns (Policy memory) {
        return _policy(_tiers(_tier(1, 1, HOUR_MS, 400e6), _tier(1, 1, 3 * HOUR_MS, 400e6)));
    }

    function _quote(Policy memory policy) internal view returns (bytes memory) {
        return _sign("insurer", cover.coverId(policy));
    }

    function _buy(Policy memory policy) internal returns (bytes32 id) {
        if (policy.premium != 0) _pay(policy.holder, policy.premium);
        bytes memory signature = _quote(policy);
        vm.prank(policy.holder);
        return cover.buy(policy, signature);
    }

    /// @dev Bought when it was sold, as if that were now.
    function _buyEarlier(Policy memory policy) internal returns (bytes32 id) {
        uint256 nowS = block.timestamp;
        vm.warp(SOLD_S);
        id = _buy(policy);
        vm.warp(nowS);
    }

    function _state(bytes32 id) internal view returns (IParametricCover.State) {
        return cover.coverOf(id).state;
    }

    function _expectCoverState(bytes32 id, IParametricCover.State state) internal {
        vm.expectRevert(abi.encodeWithSelector(IParametricCover.CoverState.selector, id, state));
    }
}
