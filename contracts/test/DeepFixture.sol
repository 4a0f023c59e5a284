// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {FrameProof} from "../src/Settlement.sol";
import {Encode} from "./Encode.sol";
import {LegFixture} from "./LegFixture.sol";
import {NaiveTree} from "./NaiveTree.sol";

/// @dev Evidence in trees as deep as real ones.
abstract contract DeepFixture is LegFixture {
    /// @dev The leg's closing frame in full trees of these depths: siblings made up, roots from them.
    function _deep(uint64 aboveMs, uint256 frameDepth, uint256 batchDepth)
        internal
        returns (FrameProof memory)
    {
        return _deep(FrameCodec.CLOSED, aboveMs, frameDepth, batchDepth);
    }

    function _deep(uint8 legState, uint64 aboveMs, uint256 frameDepth, uint256 batchDepth)
        internal
        returns (FrameProof memory proof)
    {
        FrameCodec.RunRecord[] memory runs = _runs(_run(1, aboveMs));
        vm.warp(START_S + 49 hours);
        proof = _signed(_header(legState, 99, runs), runs);
        bytes32 leaf =
            NaiveTree.hashLeaf(bytes.concat(hex"846a5369676e61747572653143a101264058dd", proof.header));
        (proof.frameIndex, proof.batchIndex) = (11, 5);
        proof.frameSiblings = _siblings(frameDepth);
        proof.batchSiblings = _siblings(batchDepth);
        proof.batchLeaf = Encode.batchLeaf(
            FrameCodec.BatchLeaf(
                TENANT,
                2,
                NaiveTree.fold(leaf, proof.frameIndex, proof.frameSiblings),
                uint32(1 << frameDepth),
                BEGIN_MS,
                BEGIN_MS,
                sha256("previous"),
                sha256("location")
            )
        );
        proof.anchored.batchCount = uint64(1 << batchDepth);
        proof.anchored.superRoot =
            NaiveTree.fold(NaiveTree.hashLeaf(proof.batchLeaf), proof.batchIndex, proof.batchSiblings);
        _anchor(proof);
        vm.warp(block.timestamp + WINDOW_S);
    }

    function _siblings(uint256 depth) internal pure returns (bytes32[] memory siblings) {
        siblings = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            siblings[i] = sha256(abi.encode(depth, i));
        }
    }
}
