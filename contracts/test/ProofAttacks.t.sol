// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameCodec} from "../src/FrameCodec.sol";
import {Rfc9162} from "../src/Rfc9162.sol";
import {Base} from "./Base.sol";
import {Encode} from "./Encode.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Decoders} from "./Vectors.t.sol";

/// @notice What a prover could make of a tree: a node for a leaf, a leaf for a node, one leaf for two.
contract ProofAttacksTest is Base {
    Decoders private decoders = new Decoders();

    /// @dev The root that a left leaf hash and its one sibling lead to.
    function node(bytes32 left, uint256 count, bytes32[] calldata siblings) external view returns (bytes32) {
        return Rfc9162.inclusionRoot(left, 0, count, siblings);
    }

    /// @notice The 64 bytes of two hashes, shown as a leaf, have another hash than the node above the two.
    function testA64ByteLeafIsNoNode() public view {
        (bytes32 left, bytes32[] memory right) = (sha256("left"), new bytes32[](1));
        right[0] = sha256("right");
        bytes32 found = decoders.leafHash(bytes.concat(left, right[0]));
        assertTrue(found != this.node(left, 2, right), "a leaf is a node");
        assertEq(found, sha256(bytes.concat(hex"00", left, right[0])), "as the specification says");
    }

    /// @notice An inner node in a leaf's place: its path is shorter than the count, signed or anchored, wants.
    function testANodeIsNoLeaf() public {
        bytes32[] memory leaves = _leaves(4);
        bytes32 inner = NaiveTree.hashNode(leaves[0], leaves[1]);
        bytes32[] memory siblings = new bytes32[](1);
        siblings[0] = NaiveTree.hashNode(leaves[2], leaves[3]);
        bytes32 root = NaiveTree.root(leaves);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofShort.selector, 1));
        decoders.inclusion(inner, 0, 4, siblings, root);
    }

    /// @notice Trees that double an odd last leaf have one root for two lists; here the last is at its place alone.
    function testTheLastLeafIsNotDoubled() public {
        bytes32[] memory leaves = _leaves(3);
        bytes32 root = NaiveTree.root(leaves);
        decoders.inclusion(leaves[2], 2, 3, NaiveTree.path(leaves, 2), root);
        bytes32[] memory doubled = _leaves(4);
        doubled[3] = leaves[2];
        assertTrue(NaiveTree.root(doubled) != root, "another list, another root");
        bytes32[] memory siblings = NaiveTree.path(doubled, 3);
        vm.expectPartialRevert(Rfc9162.ProofRoot.selector);
        decoders.inclusion(leaves[2], 3, 4, siblings, root);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 3, 3));
        decoders.inclusion(leaves[2], 3, 3, siblings, root);
    }

    /// @notice More hashes than any tree has levels cost the sender a refusal, not a walk.
    function testAPathLongerThanAnyTree() public {
        bytes32[] memory siblings = new bytes32[](10_000);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofLong.selector, 10_000));
        decoders.inclusion(0, 0, 1 << 32, siblings, 0);
    }

    /// @notice Bytes behind a run record: refused by its length before anything is read.
    function testALeafWithTrailingBytes() public {
        FrameCodec.RunRecord memory run;
        (run.channel, run.quantity, run.readingsRoot) = (1, 1, Rfc9162.EMPTY_ROOT);
        bytes memory good = Encode.run(run);
        decoders.run(good);
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 208, 207));
        decoders.run(bytes.concat(good, hex"00"));
        vm.expectRevert(abi.encodeWithSelector(FrameCodec.LayoutLength.selector, 64, 207));
        decoders.run(new bytes(64));
    }

    /// @notice The least and the greatest values come out of the bytes as they went in, sign included.
    function testTheExtremesOfValues() public view {
        FrameCodec.RunRecord memory run;
        (run.channel, run.quantity, run.firstSeq, run.count) = (1, 1, 0, 1);
        run.readingsRoot = "readings";
        FrameCodec.Totals memory totals = run.totals;
        (totals.count, totals.validCount) = (1, 1);
        totals.minValue = type(int32).min;
        totals.maxValue = type(int32).max;
        totals.lastValue = -1;
        FrameCodec.Totals memory found = decoders.run(Encode.run(run)).totals;
        assertTrue(found.minValue == type(int32).min, "least");
        assertTrue(found.maxValue == type(int32).max, "greatest");
        assertTrue(found.lastValue == -1, "negative");
    }

    function _leaves(uint256 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = NaiveTree.hashLeaf(abi.encode("leaf", i));
        }
    }
}
