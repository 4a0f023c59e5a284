// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {MockToken} from "../src/MockToken.sol";
import {FrameProof} from "../src/Settlement.sol";
import {IAnchorRegistry} from "../src/interfaces/IAnchorRegistry.sol";
import {LegFixture} from "./LegFixture.sol";

/// @dev The part of a handler that products share: gateways sign frames of two legs, intervals are anchored,
/// contested and void, time passes. A product whose vault lets out little at once owes for a while.
abstract contract FrameHandler is LegFixture {
    uint256 internal constant FRAMES_MAX = 24;
    uint96 internal constant OUTFLOW_MAX = uint96(BOND);
    bytes32 internal constant SECOND_LEG = keccak256("a second leg");

    /// @notice How often an act, or a path within one, has come about: `testEveryPathIsReached` asks.
    mapping(string path => uint256) public reached;
    FrameProof[] internal proofs;
    mapping(uint64 interval => bytes32) private commitments;

    /// @dev A token of its own, because the fixture's limit would never be reached.
    function _admitSmall(address product, uint96 outflowMax, uint32 periodS) internal {
        token = new MockToken();
        vm.startPrank(steward);
        vault.allowToken(address(token), true);
        vault.admit(product, address(token), outflowMax, periodS);
        vm.stopPrank();
    }

    // ---- Acts: every argument is any number, so that whoever drives them need not know their types

    function sign(uint256 state, uint256 isSecond, uint256 aboveMs, uint256 frameSeq) external {
        if (proofs.length == FRAMES_MAX) return;
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, uint64(bound(aboveMs, 0, 6 * HOUR_MS))));
        _warpTo(START_S + 49 hours);
        FrameCodec.Header memory header = _header(uint8(1 + state % 2), uint64(bound(frameSeq, 1, 100)), runs);
        if (isSecond % 2 == 1) header.legId = SECOND_LEG;
        FrameProof memory proof = _anchored(header, runs);
        commitments[proof.interval] = anchors.anchorOf(proof.interval);
        _keep(proofs.push(), proof);
    }

    /// @dev Not every time, so that enough stays final. What is contested is mostly judged next.
    function contest(uint256 which, uint256 isVoid) external {
        if (which % 3 == 2) return;
        FrameProof memory proof = _inState(which, IAnchorRegistry.State.Contested);
        bool isContested = anchors.stateOf(proof.interval, proof.anchored) == IAnchorRegistry.State.Contested;
        if (!isContested) proof = _inState(which, IAnchorRegistry.State.Anchored);
        vm.prank(guardian);
        if (isContested) anchors.endContest(proof.interval, proof.anchored, isVoid % 2 == 1);
        else anchors.contest(proof.interval, proof.anchored, "");
        ++reached[isContested ? isVoid % 2 == 1 ? "void" : "upheld" : "contest"];
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 1 days));
    }

    function anchorsAreAsAnchored() external view returns (bool) {
        for (uint64 i = 1; i <= anchors.head(); ++i) {
            if (anchors.anchorOf(i) != commitments[i]) return false;
        }
        return anchors.head() == proofs.length;
    }

    /// @dev Mostly a final frame of this leg and state, or one that may become final, if there is one.
    function _likely(uint256 which, uint8 legState, bytes32 legId)
        internal
        view
        returns (FrameProof memory likely)
    {
        likely = _proof(which);
        for (uint256 i = 0; which % 4 != 0 && i < proofs.length; ++i) {
            FrameProof storage proof = proofs[(which / 4 + i) % proofs.length];
            if (uint8(proof.header[34]) != legState || _legOf(proof) != legId) continue;
            likely = proof;
            if (anchors.isFinal(proof.interval, proof.anchored)) break;
        }
    }

    /// @dev Waits now and then until the frame's interval can be final.
    function _waitFor(FrameProof memory proof, uint256 patience) internal {
        if (patience % 2 == 0) _warpTo(uint256(proof.anchored.anchoredS) + WINDOW_S);
    }

    /// @dev Mostly a frame whose interval is in this state, if there is one.
    function _inState(uint256 which, IAnchorRegistry.State state)
        private
        view
        returns (FrameProof memory proof)
    {
        for (uint256 i = 0; which % 4 != 0 && i < proofs.length; ++i) {
            proof = _proof(which / 4 + i);
            if (anchors.stateOf(proof.interval, proof.anchored) == state) return proof;
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
    uint256 private constant SEQUENCES = 12;
    uint256 private constant ACTS = 128;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @notice Acts by numbers that never change, as many as a short run: each path comes about, and most acts succeed.
    function testEveryPathIsReached() external {
        string[] memory paths = _paths();
        uint256[] memory counts = new uint256[](paths.length);
        uint256 done = 0;
        for (uint256 i = 0; i < SEQUENCES; ++i) {
            setUp();
            (address handler, bytes4[] memory selectors) = _acts();
            for (uint256 act = 0; act < ACTS; ++act) {
                if (_act(handler, selectors, uint256(keccak256(abi.encode(i, act))))) ++done;
            }
            for (uint256 path = 0; path < paths.length; ++path) {
                counts[path] += FrameHandler(handler).reached(paths[path]);
            }
        }
        for (uint256 path = 0; path < paths.length; ++path) {
            emit Reached(paths[path], counts[path]);
        }
        emit Reached("acts of a hundred that succeed", done * 100 / (SEQUENCES * ACTS));
        for (uint256 path = 0; path < paths.length; ++path) {
            assertTrue(counts[path] != 0, paths[path]);
        }
        assertTrue(done * 2 > SEQUENCES * ACTS, "more than half of the acts succeed");
    }

    event Reached(string path, uint256 count);

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

    /// @dev What must come about for the invariants to mean something: names that the handler counts under.
    function _paths() internal pure virtual returns (string[] memory);

    function _act(address handler, bytes4[] memory selectors, uint256 seed) private returns (bool isDone) {
        bytes4 selector = selectors[seed % selectors.length];
        bytes32[5] memory words;
        for (uint256 i = 0; i < 5; ++i) {
            words[i] = keccak256(abi.encode(seed, i));
        }
        (isDone,) = handler.call(abi.encodePacked(selector, words));
    }
}
