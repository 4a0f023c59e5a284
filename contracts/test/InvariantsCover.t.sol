// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy} from "../src/Insurance.sol";
import {FrameProof, Tier} from "../src/Settlement.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {IParametricCover} from "../src/interfaces/IParametricCover.sol";
import {CoverFixture} from "./CoverFixture.sol";
import {FrameHandler, InvariantBase} from "./InvariantBase.sol";
import {LegFixture} from "./LegFixture.sol";

/// @dev Acts at random on one pool: its owners, its manager, holders, gateway, anchorer, guardian and time.
contract CoverHandler is CoverFixture, FrameHandler {
    uint256 private constant COVERS_MAX = 16;
    uint256 private constant OWNERS = 3;
    /// @dev The last deadline with a window that ends within the pool's span.
    uint256 private constant DEADLINE_MAX_S = SOLD_S + SPAN_S - 10 days;
    /// @dev So little that covers and capital use it up together, and something is owed now and then.
    uint96 private constant LIMIT = 1200e6;

    bytes32[] public ids;
    mapping(bytes32 id => uint256) public endedCount;
    uint256 public paidAboveMaximum;
    uint256 public paidFromUnfinal;
    uint256 public lockBroken;
    Policy[] private policies;

    function setUp() public override(CoverFixture, LegFixture) {
        super.setUp();
        _admitSmall(address(pools), LIMIT, 10 days);
        pool = pools.openPool(_poolTerms());
        _add(owner, CAPITAL);
    }

    // ---- Acts

    function add(uint256 who, uint256 amount) external {
        amount = bound(amount, 1, 5000e6);
        _add(_owner(who), amount);
        ++reached["add"];
    }

    function announce(uint256 who, uint256 part) external {
        uint256 shares = pools.holdingOf(pool, _owner(who)).shares;
        vm.prank(_owner(who));
        pools.announce(pool, shares * bound(part, 1, 4) / 4);
        ++reached["announce"];
    }

    /// @dev Mostly of someone who has announced, after the notice, and what the limit lets out.
    function remove(uint256 who, uint256 part) external {
        address from = _owner(who);
        for (uint256 i = 1; i < OWNERS && pools.holdingOf(pool, from).leaving == 0; ++i) {
            from = _owner(who + i);
        }
        ICoverPools.Holding memory holding = pools.holdingOf(pool, from);
        if (who % 2 == 0) _warpTo(holding.leaveS);
        uint256 shares = holding.leaving * bound(part, 1, 4) / 4;
        uint256 available = vault.outflowAvailable(address(pools), address(token));
        if (part % 4 != 0 && _worth(shares) > available) shares = shares * available / _worth(shares);
        vm.prank(from);
        pools.remove(pool, shares, 0);
        ++reached["remove"];
        if (pools.poolOf(pool).shares == 0 && _lockedInPool() != 0) ++lockBroken;
        _checkLocks();
    }

    function buy(uint256 maximum, uint256 premium, uint256 deductible, uint256 isSilent, uint256 leg)
        external
    {
        if (ids.length == COVERS_MAX) return;
        Tier memory above = _tier(1, 1, HOUR_MS, 800e6);
        Policy memory policy =
            _policy(isSilent % 2 == 0 ? _tiers(_tier(0, 9, HOUR_MS, 500e6), above) : _tiers(above));
        (policy.maximum, policy.premium) =
        (uint96(bound(maximum, 1, MAXIMUM)), uint96(bound(premium, 0, 100e6)));
        (policy.deductible, policy.salt) = (uint96(bound(deductible, 0, 400e6)), uint128(ids.length));
        // Sold as if the leg were still ahead, over these legs or others of which nothing is heard.
        policy.leg.legId = leg % 8 == 0 ? bytes32(leg) : leg % 8 < 4 ? SECOND_LEG : LEG;
        policy.windowS = 10 days;
        policy.leg.deadlineS = _deadlineS(leg);
        bytes32 id = _buyEarlier(policy);
        ids.push(id);
        policies.push();
        _keep(policies[policies.length - 1], policy);
        ++reached["buy"];
        _checkLocks();
    }

    function settle(uint256 which, uint256 frame) external {
        uint256 index = _live(which);
        FrameProof memory proof = _likely(frame, 2, policies[index].leg.legId);
        _waitFor(proof, which);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        uint256 before = _paid();
        cover.settle(policies[index], proof);
        if (!isFinal) ++paidFromUnfinal;
        ++reached[_paid() > before ? "settle" : "settle for nothing"];
        _ended(index, before);
    }

    function show(uint256 which, uint256 frame) external {
        uint256 index = _live(which);
        for (uint256 i = 0; frame % 3 != 0 && i < ids.length && !cover.coverOf(ids[index]).isShown; ++i) {
            index = _live(8 * i + 1);
        }
        FrameProof memory proof = _likely(frame, 1, policies[index].leg.legId);
        _waitFor(proof, which);
        if (which % 3 != 0) _warpTo(policies[index].leg.deadlineS);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        bool isShown = cover.coverOf(ids[index]).isShown;
        cover.show(policies[index], proof);
        if (!isFinal) ++paidFromUnfinal;
        ++reached[isShown ? "replace" : "show"];
    }

    function finish(uint256 which) external {
        _finish(_live(which), which % 5 == 0);
    }

    /// @dev Mostly of a cover that is owed, after a while.
    function pay(uint256 which, uint256 patience) external {
        uint256 index = which % ids.length;
        for (uint256 i = 0; which % 4 != 0 && i < ids.length && _owedOf(index) == 0; ++i) {
            index = (which / 4 + i) % ids.length;
        }
        if (patience % 2 == 0) vm.warp(block.timestamp + bound(patience, 1, 3 days));
        cover.pay(policies[index]);
        ++reached[_owedOf(index) == 0 ? "pay" : "pay a part"];
    }

    function withdraw(uint256 who, uint256 amount) external {
        address one = who % 4 == 3 ? holder : _owner(who);
        if (_credit(one) == 0) one = holder;
        amount = bound(amount, 1, _credit(one) + _credit(one) / 8 + 1);
        vm.prank(one);
        vault.withdraw(address(token), amount, one);
        ++reached["withdraw"];
    }

    // ---- What must hold

    /// @notice Σ maxima of the covers that have not ended.
    function openMaxima() public view returns (uint256 sum) {
        for (uint256 i = 0; i < ids.length; ++i) {
            if (_state(ids[i]) == IParametricCover.State.Open) sum += policies[i].maximum;
        }
    }

    /// @notice What ended covers are still owed.
    function owed() public view returns (uint256 sum) {
        for (uint256 i = 0; i < ids.length; ++i) {
            sum += _owedOf(i);
        }
    }

    function poolNow() external view returns (ICoverPools.Pool memory) {
        return pools.poolOf(pool);
    }

    function fund() external view returns (uint256) {
        return _fund();
    }

    /// @notice All that is in the vault: the fund and everybody's credits.
    function booked() external view returns (uint256) {
        return _fund() + _credits();
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    function endedAtMostOnce() external view returns (bool) {
        for (uint256 i = 0; i < ids.length; ++i) {
            if (endedCount[ids[i]] > 1) return false;
        }
        return true;
    }

    /// @notice After everything each cover ends, is paid, and owners and holder take out all that is theirs.
    function takeAll() external {
        for (uint256 i = 0; i < ids.length; ++i) {
            vm.warp(block.timestamp + SPAN_S);
            if (_state(ids[i]) == IParametricCover.State.Open) _finish(i, true);
            if (_owedOf(i) != 0) cover.pay(policies[i]);
        }
        assertEq(owed(), 0, "nothing is owed");
        assertEq(pools.poolOf(pool).locked, 0, "nothing is locked");
        for (uint256 i = 0; i < OWNERS; ++i) {
            _leaveInParts(_owner(i));
            _withdraw(_owner(i));
        }
        _withdraw(holder);
        // The virtual shares and rounding keep the rest.
        assertEq(token.balanceOf(address(vault)), _capital(), "nothing else stays behind");
    }

    /// @dev As much at a time as the outflow limit lets out.
    function _leaveInParts(address who) private {
        uint256 shares = pools.holdingOf(pool, who).shares;
        while (_worth(shares) != 0) {
            vm.prank(who);
            pools.announce(pool, shares);
            // The notice, and what the limit needs to recover: before it lapses.
            vm.warp(block.timestamp + 10 days);
            uint256 part = _worth(shares) < LIMIT ? shares : shares * (LIMIT - 1) / _worth(shares);
            vm.prank(who);
            pools.remove(pool, part, 0);
            shares -= part;
        }
    }

    function _worth(uint256 shares) private view returns (uint256) {
        return shares * _capital() / (pools.poolOf(pool).shares + 1e6);
    }

    function _withdraw(address who) private {
        uint256 credit = _credit(who);
        uint256 before = token.balanceOf(who);
        if (credit == 0) return;
        vm.prank(who);
        vault.withdraw(address(token), credit, who);
        assertEq(token.balanceOf(who), before + credit, "all that is theirs");
    }

    function _credits() private view returns (uint256 sum) {
        for (uint256 i = 0; i < OWNERS; ++i) {
            sum += _credit(_owner(i));
        }
        sum += _credit(holder);
    }

    function _paid() private view returns (uint256) {
        return pools.poolOf(pool).paid;
    }

    function _ended(uint256 index, uint256 before) private {
        ++endedCount[ids[index]];
        if (_owedOf(index) != 0) ++reached["owed"];
        if (_paid() - before > policies[index].maximum) ++paidAboveMaximum;
        _checkLocks();
    }

    function _checkLocks() private {
        ICoverPools.Pool memory found = pools.poolOf(pool);
        if (found.locked > found.capital || openMaxima() > found.locked) ++lockBroken;
    }

    function _keep(Policy storage kept, Policy memory policy) private {
        (kept.pool, kept.holder, kept.tenant) = (policy.pool, policy.holder, policy.tenant);
        (kept.startS, kept.quoteUntilS, kept.windowS) = (policy.startS, policy.quoteUntilS, policy.windowS);
        (kept.maximum, kept.deductible, kept.premium) = (policy.maximum, policy.deductible, policy.premium);
        (kept.salt, kept.leg) = (policy.salt, policy.leg);
        for (uint256 i = 0; i < policy.tiers.length; ++i) {
            kept.tiers.push(policy.tiers[i]);
        }
    }

    function _finish(uint256 index, bool waits) private {
        Policy memory policy = policies[index];
        if (waits) _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        uint256 before = _paid();
        bool isShown = cover.coverOf(ids[index]).isShown;
        cover.finish(policy);
        ++reached["finish"];
        if (!isShown && _paid() > before) ++reached["silence"];
        _ended(index, before);
    }

    /// @dev Mostly a cover that is open, if there is one.
    function _live(uint256 which) private view returns (uint256 index) {
        for (uint256 i = 0; which % 8 != 0 && i < ids.length; ++i) {
            index = (which / 8 + i) % ids.length;
            if (_state(ids[index]) == IParametricCover.State.Open) return index;
        }
        return which % ids.length;
    }

    function _owedOf(uint256 index) private view returns (uint256) {
        bool isEnded = _state(ids[index]) == IParametricCover.State.Settled;
        return isEnded ? cover.coverOf(ids[index]).amount : 0;
    }

    /// @dev From now on, and not all at once.
    function _deadlineS(uint256 number) private view returns (uint64) {
        uint256 fromS = block.timestamp < START_S + 3 days ? START_S + 3 days : block.timestamp;
        uint256 deadlineS = fromS + number % 5 * 1 days;
        return uint64(deadlineS < DEADLINE_MAX_S ? deadlineS : DEADLINE_MAX_S);
    }

    function _owner(uint256 who) private view returns (address) {
        if (who % OWNERS == 0) return owner;
        return who % OWNERS == 1 ? actor("second owner") : actor("third owner");
    }
}

/// @notice Over any sequence of acts: the pool is worth what the vault holds for it, open maxima are covered, and all can leave.
contract InvariantsCoverTest is InvariantBase {
    CoverHandler private handler;

    function setUp() public override {
        handler = new CoverHandler();
        handler.setUp();
    }

    /// @dev One campaign for all: each act is followed by every question.
    function invariant_Pool() external view {
        ICoverPools.Pool memory found = handler.poolNow();
        assertEq(handler.fund(), found.capital + handler.owed(), "worth its capital and what is owed");
        assertEq(handler.held(), handler.booked(), "the vault has it");
        assertLe(handler.openMaxima(), found.locked, "locked covers the open maxima");
        assertLe(found.locked, found.capital, "capital covers what is locked");
        assertLe(found.paid + found.locked, found.aggregateMax, "aggregate limit");
        assertEq(handler.lockBroken(), 0, "at no moment");
        assertTrue(handler.endedAtMostOnce(), "each cover ends once");
        assertEq(handler.paidFromUnfinal(), 0, "from final evidence");
        assertEq(handler.paidAboveMaximum(), 0, "within the maximum");
    }

    function afterInvariant() external {
        assertTrue(handler.anchorsAreAsAnchored(), "anchors never change");
        handler.takeAll();
    }

    function _acts() internal view override returns (address, bytes4[] memory selectors) {
        // Signed twice as often as the rest, for enough frames.
        selectors = new bytes4[](13);
        selectors[0] = CoverHandler.add.selector;
        selectors[1] = CoverHandler.announce.selector;
        selectors[2] = CoverHandler.remove.selector;
        selectors[3] = CoverHandler.buy.selector;
        selectors[4] = FrameHandler.sign.selector;
        selectors[5] = FrameHandler.contest.selector;
        selectors[6] = CoverHandler.settle.selector;
        selectors[7] = CoverHandler.show.selector;
        selectors[8] = CoverHandler.finish.selector;
        selectors[9] = CoverHandler.pay.selector;
        selectors[10] = CoverHandler.withdraw.selector;
        selectors[11] = FrameHandler.wait.selector;
        selectors[12] = FrameHandler.sign.selector;
        return (address(handler), selectors);
    }

    function _paths() internal pure override returns (string[] memory paths) {
        paths = new string[](17);
        (paths[0], paths[1], paths[2], paths[3]) = ("add", "announce", "remove", "buy");
        (paths[4], paths[5], paths[6]) = ("settle", "settle for nothing", "show");
        (paths[7], paths[8], paths[9], paths[10]) = ("replace", "finish", "silence", "owed");
        (paths[11], paths[12], paths[13]) = ("pay", "pay a part", "withdraw");
        (paths[14], paths[15], paths[16]) = ("contest", "void", "upheld");
    }
}
