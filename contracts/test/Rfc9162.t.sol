// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "../src/Rfc9162.sol";
import {Base} from "./Base.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Decoders} from "./Vectors.t.sol";

/// @notice Inclusion holds for every leaf of a tree, and for nothing else; the tree is the naive twin's.
contract Rfc9162Test is Base {
    Decoders private decoders = new Decoders();

    function testFuzz_EveryLeafIsIncluded(uint256 count, uint256 index) public view {
        count = bound(count, 1, 70);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(count);
        decoders.inclusion(leaves[index], index, count, NaiveTree.path(leaves, index), NaiveTree.root(leaves));
    }

    function testFuzz_WrongIndexIsRefused(uint256 count, uint256 index, uint256 other) public {
        count = bound(count, 2, 40);
        index = bound(index, 0, count - 1);
        other = bound(other, 0, count - 1);
        vm.assume(other != index);
        bytes32[] memory leaves = _leaves(count);
        _expectRefused(leaves[index], other, count, NaiveTree.path(leaves, index), NaiveTree.root(leaves));
    }

    function testFuzz_AnotherLeafIsRefused(uint256 count, uint256 index, bytes32 leaf) public {
        count = bound(count, 1, 40);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(count);
        vm.assume(leaf != leaves[index]);
        (bytes32[] memory siblings, bytes32 root) = (NaiveTree.path(leaves, index), NaiveTree.root(leaves));
        vm.expectPartialRevert(Rfc9162.ProofRoot.selector);
        decoders.inclusion(leaf, index, count, siblings, root);
    }

    function testFuzz_ChangedSiblingIsRefused(uint256 count, uint256 index, uint256 place, uint256 bit)
        public
    {
        count = bound(count, 2, 40);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(count);
        bytes32[] memory siblings = NaiveTree.path(leaves, index);
        place = bound(place, 0, siblings.length - 1);
        siblings[place] ^= bytes32(1 << (bit % 256));
        bytes32 root = NaiveTree.root(leaves);
        vm.expectPartialRevert(Rfc9162.ProofRoot.selector);
        decoders.inclusion(leaves[index], index, count, siblings, root);
    }

    /// @notice A lie about the count never proves another leaf at the place; most change the shape and are refused.
    function testFuzz_OtherCountNeverProvesAnotherLeaf(
        uint256 count,
        uint256 lie,
        uint256 index,
        bytes32 leaf
    ) public view {
        count = bound(count, 1, 40);
        lie = bound(lie, 1, 80);
        index = bound(index, 0, (count < lie ? count : lie) - 1);
        bytes32[] memory leaves = _leaves(count);
        vm.assume(leaf != leaves[index]);
        bytes32[] memory siblings = NaiveTree.path(leaves, index);
        try decoders.inclusion(leaf, index, lie, siblings, NaiveTree.root(leaves)) {
            revert NotTrue("refused");
        } catch {}
    }

    function testIndexNotBelowCount() public {
        bytes32[] memory none = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 1, 1));
        decoders.inclusion(0, 1, 1, none, 0);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 0, 0));
        decoders.inclusion(0, 0, 0, none, 0);
        uint256 max = (1 << 32) + 1;
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofIndex.selector, 0, max));
        decoders.inclusion(0, 0, max, none, 0);
    }

    function testSiblingsMissingAndLeftOver() public {
        bytes32[] memory leaves = _leaves(4);
        bytes32 root = NaiveTree.root(leaves);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofShort.selector, 1));
        decoders.inclusion(leaves[1], 1, 4, new bytes32[](1), root);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofLong.selector, 3));
        decoders.inclusion(leaves[1], 1, 4, new bytes32[](3), root);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofLong.selector, 33));
        decoders.inclusion(leaves[1], 1, 1 << 32, new bytes32[](33), root);
    }

    function testAnotherRoot() public {
        bytes32[] memory leaves = _leaves(3);
        bytes32 root = NaiveTree.root(leaves);
        bytes32[] memory siblings = NaiveTree.path(leaves, 2);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofRoot.selector, root, bytes32(uint256(1))));
        decoders.inclusion(leaves[2], 2, 3, siblings, bytes32(uint256(1)));
    }

    function _expectRefused(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32[] memory siblings,
        bytes32 root
    ) private view {
        try decoders.inclusion(leaf, index, count, siblings, root) {
            revert NotTrue("refused");
        } catch {}
    }

    function _leaves(uint256 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = NaiveTree.hashLeaf(abi.encode("leaf", i));
        }
    }
}
