// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {MockToken} from "../src/MockToken.sol";
import {FrameProof} from "../src/Settlement.sol";
import {LegFixture} from "./LegFixture.sol";

/// @dev The part of a handler that products share: gateways sign frames of two legs, intervals are anchored,
/// contested and void, time passes. A product whose vault lets out little at once owes for a while.
abstract contract FrameHandler is LegFixture {
    uint256 internal constant FRAMES_MAX = 24;
    uint96 internal constant OUTFLOW_MAX = uint96(BOND);
    bytes32 internal constant SECOND_LEG = keccak256("a second leg");

    FrameProof[] internal proofs;
    mapping(uint64 interval => bytes32) private commitments;

    /// @dev A token of its own, because the fixture's limit would never be reached.
    function _admitSmall(address product) internal {
        token = new MockToken();
        vm.startPrank(steward);
        vault.allowToken(address(token), true);
        vault.admit(product, address(token), OUTFLOW_MAX, 30 days);
        vm.stopPrank();
    }

    function sign(bool isClosing, bool isSecond, uint64 aboveMs, uint64 frameSeq) external {
        if (proofs.length == FRAMES_MAX) return;
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, uint64(bound(aboveMs, 0, 48 * HOUR_MS))));
        _warpTo(START_S + 49 hours);
        FrameCodec.Header memory header = _header(isClosing ? 2 : 1, uint64(bound(frameSeq, 1, 100)), runs);
        if (isSecond) header.legId = SECOND_LEG;
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

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 2 days));
    }

    function anchorsAreAsAnchored() external view returns (bool) {
        for (uint64 i = 1; i <= anchors.head(); ++i) {
            if (anchors.anchorOf(i) != commitments[i]) return false;
        }
        return anchors.head() == proofs.length;
    }

    /// @dev Mostly a final frame of this leg and state, if there is one.
    function _likely(uint256 which, uint8 legState, bytes32 legId) internal view returns (FrameProof memory) {
        for (uint256 i = 0; which % 4 != 0 && i < proofs.length; ++i) {
            FrameProof storage proof = proofs[(which / 4 + i) % proofs.length];
            bool isOfLeg = uint8(proof.header[34]) == legState && _legOf(proof) == legId;
            if (isOfLeg && anchors.isFinal(proof.interval, proof.anchored)) return proof;
        }
        return _proof(which);
    }

    function _proof(uint256 which) internal view returns (FrameProof memory) {
        return proofs[which % proofs.length];
    }

    function _legOf(FrameProof storage proof) private view returns (bytes32 legId) {
        bytes memory header = proof.header;
        assembly ("memory-safe") {
            legId := mload(add(header, 67))
        }
    }
}

/// @dev What forge asks of a test of invariants.
abstract contract InvariantBase is LegFixture {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        (targets[0],) = _acts();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        (targets[0].addr, targets[0].selectors) = _acts();
    }

    /// @dev The handler, and which of its functions are acts.
    function _acts() internal view virtual returns (address handler, bytes4[] memory selectors);
}
