// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "../src/Rfc9162.sol";
import {NaiveTree} from "../test/NaiveTree.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice The climb in assembly against RFC 9162 section 2.1.3.2 as it reads there, over any leaves and siblings:
/// SHA-256 is any function at all, so that what is proven is the order in which hashes go in.
contract MerkleProof is Symbolic {
    /// @dev The bound: larger trees only repeat the step. Forge's fuzz tests go to 2^32 leaves.
    uint256 private constant LEAVES = 6;
    uint256 private constant DEPTH = 3;

    /// @notice As many siblings as the RFC wants and no other number, and the same root from them, at every place.
    function check_ClimbIsTheRfcs(bytes32 leaf) external view {
        for (uint256 length = 0; length <= DEPTH + 1; ++length) {
            bytes32[] memory siblings = _siblings(length);
            for (uint256 count = 1; count <= LEAVES; ++count) {
                for (uint256 index = 0; index < count; ++index) {
                    _compare(leaf, index, count, siblings);
                }
            }
        }
    }

    /// @notice The path of each leaf of a tree written recursively leads to its root.
    function check_EveryLeafIsProven() external view {
        for (uint256 count = 1; count <= 8; ++count) {
            bytes32[] memory leaves = _siblings(count);
            bytes32 root = NaiveTree.root(leaves);
            for (uint256 i = 0; i < count; ++i) {
                assert(this.climb(leaves[i], i, count, NaiveTree.path(leaves, i)) == root);
            }
        }
    }

    function climb(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        external
        view
        returns (bytes32)
    {
        return Rfc9162.inclusionRoot(leaf, index, count, siblings);
    }

    function _compare(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory siblings) private view {
        (bool isValid, bytes32 wanted) = _rfc(leaf, index, count, siblings);
        try this.climb(leaf, index, count, siblings) returns (bytes32 found) {
            assert(isValid && found == wanted);
        } catch {
            assert(!isValid);
        }
    }

    /// @dev Steps 2 to 5 of the section, literally.
    function _rfc(bytes32 hash, uint256 index, uint256 count, bytes32[] memory siblings)
        private
        pure
        returns (bool isValid, bytes32 root)
    {
        (uint256 fn, uint256 sn, bytes32 r) = (index, count - 1, hash);
        for (uint256 i = 0; i < siblings.length; ++i) {
            if (sn == 0) return (false, 0);
            if (fn & 1 == 1 || fn == sn) {
                r = NaiveTree.hashNode(siblings[i], r);
                while (fn & 1 == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            } else {
                r = NaiveTree.hashNode(r, siblings[i]);
            }
            (fn, sn) = (fn >> 1, sn >> 1);
        }
        return (sn == 0, r);
    }

    function _siblings(uint256 length) private pure returns (bytes32[] memory list) {
        list = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            list[i] = bytes32(svm.createUint(256, "hash"));
        }
    }
}
