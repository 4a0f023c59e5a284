// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CreditVault} from "../src/CreditVault.sol";
import {FrameCodec} from "../src/FrameCodec.sol";
import {Policy} from "../src/Insurance.sol";
import {ParametricCover} from "../src/ParametricCover.sol";
import {FrameProof, Tier} from "../src/Settlement.sol";
import {ICoverPools} from "../src/interfaces/ICoverPools.sol";
import {IParametricCover} from "../src/interfaces/IParametricCover.sol";
import {CoverFixture} from "./CoverFixture.sol";

/// @dev Acts at random on one pool: its owners, its manager, holders, gateway, anchorer and time.
contract CoverHandler is CoverFixture {
    uint256 private constant COVERS_MAX = 12;
    uint256 private constant FRAMES_MAX = 12;
    uint256 private constant OWNERS = 3;
    uint96 private constant LIMIT = 1200e6;

    bytes32[] public ids;
    mapping(bytes32 id => uint256) public endedCount;
    uint256 public paidAboveMaximum;
    uint256 public paidFromUnfinal;
    uint256 public lockBroken;
    Policy[] private policies;
    FrameProof[] private proofs;

    function setUp() public override {
        super.setUp();
        // A limit that covers and capital use up together, so that something is owed now and then.
        vault = new CreditVault(steward);
        _use(new ParametricCover(gateways, anchors, vault));
        vm.startPrank(steward);
        vault.allowToken(address(token), true);
        vault.admit(address(pools), address(token), LIMIT, 10 days);
        vm.stopPrank();
        pool = pools.openPool(_poolTerms());
        _add(owner, CAPITAL);
    }

    function add(uint256 who, uint256 amount) external {
        amount = bound(amount, 1, 5000e6);
        _add(_owner(who), amount);
    }

    function announce(uint256 who, uint256 part) external {
        uint256 shares = pools.holdingOf(pool, _owner(who)).shares;
        vm.prank(_owner(who));
        pools.announce(pool, shares * bound(part, 1, 4) / 4);
    }

    function remove(uint256 who, uint256 part) external {
        address from = _owner(who);
        ICoverPools.Holding memory holding = pools.holdingOf(pool, from);
        if (who % 5 == 0) _warpTo(holding.leaveS);
        vm.prank(from);
        pools.remove(pool, holding.leaving * bound(part, 1, 4) / 4, 0);
        _checkLocks();
    }

    function buy(uint96 maximum, uint96 premium, uint96 deductible, bool isSilent, uint256 leg) external {
        if (ids.length == COVERS_MAX) return;
        Tier memory above = _tier(1, 1, HOUR_MS, 800e6);
        Policy memory policy = _policy(isSilent ? _tiers(_tier(0, 9, HOUR_MS, 500e6), above) : _tiers(above));
        (policy.maximum, policy.premium) =
        (uint96(bound(maximum, 1, MAXIMUM)), uint96(bound(premium, 0, 100e6)));
        (policy.deductible, policy.salt) = (uint96(bound(deductible, 0, 600e6)), uint128(ids.length));
        // Sold as if the leg were still ahead, over this leg or others of which nothing is heard.
        policy.leg.legId = leg % 3 == 0 ? bytes32(leg) : LEG;
        bytes32 id = _buyEarlier(policy);
        ids.push(id);
        policies.push();
        _keep(policies[policies.length - 1], policy);
        _checkLocks();
    }

    function sign(bool isClosing, uint64 aboveMs, uint64 frameSeq) external {
        if (proofs.length == FRAMES_MAX) return;
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, uint64(bound(aboveMs, 0, 6 * HOUR_MS))));
        _warpTo(START_S + 49 hours);
        FrameCodec.Header memory header = _header(isClosing ? 2 : 1, uint64(bound(frameSeq, 1, 100)), runs);
        FrameProof memory proof = _anchored(header, runs);
        FrameProof storage kept = proofs.push();
        (kept.header, kept.r, kept.s) = (proof.header, proof.r, proof.s);
        (kept.frameIndex, kept.frameSiblings) = (proof.frameIndex, proof.frameSiblings);
        (kept.batchLeaf, kept.batchIndex) = (proof.batchLeaf, proof.batchIndex);
        (kept.batchSiblings, kept.interval, kept.anchored) =
        (proof.batchSiblings, proof.interval, proof.anchored);
        kept.runs.push();
        (kept.runs[0].record, kept.runs[0].index) = (proof.runs[0].record, proof.runs[0].index);
    }

    function settle(uint256 which, uint256 frame, bool isPatient) external {
        FrameProof memory proof = _likely(frame, 2);
        if (isPatient) _warpTo(uint256(proof.anchored.anchoredS) + WINDOW_S);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        uint256 index = which % ids.length;
        uint256 before = _paid();
        cover.settle(policies[index], proof);
        if (!isFinal) ++paidFromUnfinal;
        _ended(index, before);
    }

    function show(uint256 which, uint256 frame) external {
        FrameProof memory proof = _likely(frame, 1);
        if (which % 3 == 0) _warpTo(policies[which % ids.length].leg.deadlineS);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        cover.show(policies[which % ids.length], proof);
        if (!isFinal) ++paidFromUnfinal;
    }

    function finish(uint256 which) public {
        uint256 index = which % ids.length;
        Policy memory policy = policies[index];
        if (which % 16 == 0) _warpTo(uint256(policy.leg.deadlineS) + policy.windowS);
        uint256 before = _paid();
        cover.finish(policy);
        _ended(index, before);
    }

    function pay(uint256 which) external {
        cover.pay(policies[which % ids.length]);
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 6 hours));
    }

    /// @notice Σ maxima of the covers that have not ended.
    function openMaxima() public view returns (uint256 sum) {
        for (uint256 i = 0; i < ids.length; ++i) {
            if (_state(ids[i]) == IParametricCover.State.Open) sum += policies[i].maximum;
        }
    }

    /// @notice What ended covers are still owed.
    function owed() public view returns (uint256 sum) {
        for (uint256 i = 0; i < ids.length; ++i) {
            if (_state(ids[i]) == IParametricCover.State.Settled) sum += cover.coverOf(ids[i]).amount;
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
            if (_state(ids[i]) == IParametricCover.State.Open) finish(i);
            if (cover.coverOf(ids[i]).amount != 0) cover.pay(policies[i]);
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
        vm.prank(who);
        pools.announce(pool, shares);
        vm.warp(block.timestamp + NOTICE_S);
        while (_worth(shares) != 0) {
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
        if (credit == 0) return;
        vm.prank(who);
        vault.withdraw(address(token), credit, who);
        assertEq(token.balanceOf(who), credit, "all that is theirs");
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

    /// @dev Half the time a frame of this leg state, if there is one.
    function _likely(uint256 which, uint8 legState) private view returns (FrameProof memory proof) {
        for (uint256 i = 0; which % 2 == 0 && i < proofs.length; ++i) {
            proof = proofs[(which / 2 + i) % proofs.length];
            if (uint8(proof.header[34]) == legState) return proof;
        }
        return proofs[which % proofs.length];
    }

    function _owner(uint256 who) private view returns (address) {
        if (who % OWNERS == 0) return owner;
        return who % OWNERS == 1 ? actor("second owner") : actor("third owner");
    }
}

/// @notice Over any sequence of acts: the pool is worth what the vault holds for it, open maxima are covered, and all can leave.
contract InvariantsCoverTest is CoverFixture {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    CoverHandler private handler;

    function setUp() public override {
        handler = new CoverHandler();
        handler.setUp();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](10);
        selectors[0] = CoverHandler.add.selector;
        selectors[1] = CoverHandler.announce.selector;
        selectors[2] = CoverHandler.remove.selector;
        selectors[3] = CoverHandler.buy.selector;
        selectors[4] = CoverHandler.sign.selector;
        selectors[5] = CoverHandler.settle.selector;
        selectors[6] = CoverHandler.show.selector;
        selectors[7] = CoverHandler.finish.selector;
        selectors[8] = CoverHandler.pay.selector;
        selectors[9] = CoverHandler.wait.selector;
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_PoolIsWorthWhatTheVaultHoldsForIt() external view {
        ICoverPools.Pool memory found = handler.poolNow();
        assertEq(handler.fund(), found.capital + handler.owed(), "capital and what is owed");
        assertEq(handler.held(), handler.booked(), "the vault has it");
    }

    function invariant_LockedCoversTheOpenMaxima() external view {
        ICoverPools.Pool memory found = handler.poolNow();
        assertLe(handler.openMaxima(), found.locked, "open maxima");
        assertLe(found.locked, found.capital, "locked");
        assertLe(found.paid + found.locked, found.aggregateMax, "aggregate limit");
        assertEq(handler.lockBroken(), 0, "at no moment");
    }

    function invariant_EndedOnceFromFinalEvidenceWithinTheMaximum() external view {
        assertTrue(handler.endedAtMostOnce(), "once");
        assertEq(handler.paidFromUnfinal(), 0, "final");
        assertEq(handler.paidAboveMaximum(), 0, "within the maximum");
    }

    function afterInvariant() external {
        handler.takeAll();
    }
}
