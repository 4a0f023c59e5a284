// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {FrameProof, Terms} from "../src/Settlement.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {LegFixture} from "./LegFixture.sol";

/// @dev Acts at random on one vault and escrow: parties, gateway, anchorer, guardian and time.
contract Handler is LegFixture {
    uint256 private constant AGREEMENTS_MAX = 12;
    uint256 private constant FRAMES_MAX = 24;

    bytes32[] public ids;
    mapping(bytes32 id => Terms) private termsOf;
    mapping(bytes32 id => uint256) public settledCount;
    FrameProof[] private proofs;
    uint256 public minted;
    uint256 public paidFromUnfinal;
    uint256 public paidAboveBond;
    uint256 public notConserved;
    mapping(uint64 interval => bytes32) private commitments;

    function setUp() public override {
        super.setUp();
    }

    function deposit(uint256 amount) external {
        amount = bound(amount, 1, 2 * BOND);
        minted += amount;
        _deposit(amount);
    }

    function reclaim(uint256 amount) external {
        vm.prank(carrier);
        vault.reclaim(address(escrow), address(token), bound(amount, 1, 2 * BOND), carrier);
    }

    function withdraw(uint256 amount) external {
        vm.prank(shipper);
        vault.withdraw(address(token), bound(amount, 1, 2 * BOND), shipper);
    }

    function open(uint128 bond, uint64 threshold, uint128 amount) external {
        if (ids.length == AGREEMENTS_MAX) return;
        Terms memory terms = _terms(
            _tiers(
                _tier(0, 9, 3 * HOUR_MS, 50e6),
                _tier(1, 1, uint128(bound(threshold, 0, 4 * HOUR_MS)), uint128(bound(amount, 1, 2 * BOND)))
            )
        );
        terms.bond = terms.legCap = uint128(bound(bond, 1, BOND));
        terms.salt = uint128(ids.length);
        (terms.legs[0].deadlineS, terms.windowS) = (uint64(block.timestamp + 1 days), 5 days);
        terms.legs[0].dueMs = 0;
        bytes32 id = _openSigned(terms);
        ids.push(id);
        _keep(termsOf[id], terms);
    }

    function sign(bool isClosing, uint64 aboveMs, uint64 frameSeq) external {
        if (proofs.length == FRAMES_MAX) return;
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, uint64(bound(aboveMs, 0, 48 * HOUR_MS))));
        _warpTo(START_S + 49 hours);
        FrameCodec.Header memory header = _header(isClosing ? 2 : 1, uint64(bound(frameSeq, 1, 100)), runs);
        FrameProof memory proof = _anchored(header, runs);
        commitments[proof.interval] = anchors.anchorOf(proof.interval);
        _keep(proofs.push(), proof);
    }

    /// @dev Not every time, so that enough stays final.
    function contest(uint256 which) external {
        if (which % 3 != 0) return;
        FrameProof memory proof = _proof(which);
        vm.prank(guardian);
        anchors.contest(proof.interval, proof.anchored, "");
    }

    function endContest(uint256 which, bool isVoid) external {
        FrameProof memory proof = _proof(which);
        vm.prank(guardian);
        anchors.endContest(proof.interval, proof.anchored, isVoid);
    }

    function settle(uint256 which, uint256 frame) external {
        bytes32 id = _id(which);
        FrameProof memory proof = _likely(frame, 2);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        (uint256 credited, uint256 freed) = (_credit(shipper), _free());
        escrow.settle(termsOf[id], 0, proof);
        if (!isFinal) ++paidFromUnfinal;
        _account(id, credited, freed);
    }

    function show(uint256 which, uint256 frame) external {
        if (which % 3 == 0) _warpTo(termsOf[_id(which)].legs[0].deadlineS);
        FrameProof memory proof = _likely(frame, 1);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        escrow.show(termsOf[_id(which)], 0, proof);
        if (!isFinal) ++paidFromUnfinal;
    }

    function finish(uint256 which) public {
        bytes32 id = _id(which);
        if (which % 5 == 0) _warpTo(uint256(termsOf[id].legs[0].deadlineS) + termsOf[id].windowS);
        (uint256 credited, uint256 freed) = (_credit(shipper), _free());
        escrow.finish(termsOf[id], 0);
        _account(id, credited, freed);
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 3 days));
    }

    /// @notice What the vault owes: the carrier's deposit and both parties' credits.
    function owed() external view returns (uint256) {
        return _free() + _locked() + _credit(shipper) + _credit(carrier);
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    function lockedIsOfLiveBonds() external view returns (bool) {
        uint256 bonds = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            if (escrow.agreementOf(ids[i]).state != IPenaltyEscrow.State.Settled) {
                bonds += termsOf[ids[i]].bond;
            }
        }
        return bonds == _locked();
    }

    function anchorsAreAsAnchored() external view returns (bool) {
        for (uint64 i = 1; i <= anchors.head(); ++i) {
            if (anchors.anchorOf(i) != commitments[i]) return false;
        }
        return anchors.head() == proofs.length;
    }

    function settledAtMostOnce() external view returns (bool) {
        for (uint256 i = 0; i < ids.length; ++i) {
            if (settledCount[ids[i]] > 1) return false;
        }
        return true;
    }

    /// @notice After everything, each agreement can be finished and everyone takes out all that is theirs.
    function leave() external {
        for (uint256 i = 0; i < ids.length; ++i) {
            vm.warp(block.timestamp + 60 days);
            if (escrow.agreementOf(ids[i]).state != IPenaltyEscrow.State.Settled) finish(i);
        }
        uint256 free = _free();
        uint256 credit = _credit(shipper);
        if (free != 0) {
            vm.prank(carrier);
            vault.reclaim(address(escrow), address(token), free, carrier);
        }
        if (credit != 0) {
            vm.prank(shipper);
            vault.withdraw(address(token), credit, shipper);
        }
        assertEq(token.balanceOf(address(vault)), 0, "nothing stays behind");
        assertEq(token.balanceOf(carrier) + token.balanceOf(shipper), minted, "nothing is lost");
    }

    function _account(bytes32 id, uint256 credited, uint256 freed) private {
        ++settledCount[id];
        uint256 penalty = _credit(shipper) - credited;
        if (penalty > termsOf[id].bond) ++paidAboveBond;
        if (penalty + _free() - freed != termsOf[id].bond) ++notConserved;
    }

    /// @dev Half the time a final frame of this leg state, if there is one.
    function _likely(uint256 which, uint8 legState) private view returns (FrameProof memory) {
        for (uint256 i = 0; which % 2 == 0 && i < proofs.length; ++i) {
            FrameProof memory proof = _proof(which / 2 + i);
            bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
            if (isFinal && uint8(proof.header[34]) == legState) return proof;
        }
        return _proof(which);
    }

    function _id(uint256 which) private view returns (bytes32) {
        return ids[which % ids.length];
    }

    function _proof(uint256 which) private view returns (FrameProof memory) {
        return proofs[which % proofs.length];
    }
}

/// @notice Over any sequence of acts: money is conserved, paid once, from final evidence, and can leave.
contract InvariantsTest is LegFixture {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private handler;

    function setUp() public override {
        handler = new Handler();
        handler.setUp();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](11);
        selectors[0] = Handler.deposit.selector;
        selectors[1] = Handler.reclaim.selector;
        selectors[2] = Handler.withdraw.selector;
        selectors[3] = Handler.open.selector;
        selectors[4] = Handler.sign.selector;
        selectors[5] = Handler.contest.selector;
        selectors[6] = Handler.endContest.selector;
        selectors[7] = Handler.settle.selector;
        selectors[8] = Handler.show.selector;
        selectors[9] = Handler.finish.selector;
        selectors[10] = Handler.wait.selector;
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_VaultHoldsWhatItOwes() external view {
        assertEq(handler.held(), handler.owed(), "held is owed");
    }

    function invariant_LockedIsTheLiveBonds() external view {
        assertTrue(handler.lockedIsOfLiveBonds(), "locked");
    }

    function invariant_PaidOnceFromFinalEvidenceWithinTheBond() external view {
        assertTrue(handler.settledAtMostOnce(), "once");
        assertEq(handler.paidFromUnfinal(), 0, "final");
        assertEq(handler.paidAboveBond(), 0, "within the bond");
        assertEq(handler.notConserved(), 0, "penalty and rest are the bond");
    }

    function invariant_AnchorsNeverChange() external view {
        assertTrue(handler.anchorsAreAsAnchored(), "as anchored");
    }

    function afterInvariant() external {
        handler.leave();
    }
}
