// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The Merkle tree of RFC 9162 over SHA-256
/// @notice Leaf hash `H(00 ‖ leaf)`, node hash `H(01 ‖ left ‖ right)`, an odd last node promoted unchanged.
/// @dev Written out in docs/spec/tree.md; the algorithm of verifyInclusion is RFC 9162 section 2.1.3.2.
/// Warning: (index, count) must come from a signed or anchored place, never from the prover alone.
library Rfc9162 {
    /// @notice The index is not below the count, or the count is out of bounds.
    error ProofIndex(uint256 index, uint256 count);
    /// @notice The siblings ran out before the root.
    error ProofShort(uint256 siblings);
    /// @notice A sibling was left over, or there are more than PROOF_HASHES_MAX.
    error ProofLong(uint256 siblings);
    /// @notice The siblings lead to another root.
    error ProofRoot(bytes32 found, bytes32 wanted);

    uint256 internal constant TREE_LEAVES_MAX = 1 << 32;
    uint256 internal constant PROOF_HASHES_MAX = 32;
    /// @dev H(""): the root of no leaves.
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Refuses unless `leaf` is the leaf hash at `index` of the tree of `count` leaves with this root.
    function verifyInclusion(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32[] calldata siblings,
        bytes32 root
    ) internal view {
        require(index < count && count <= TREE_LEAVES_MAX, ProofIndex(index, count));
        bytes32 found = inclusionRoot(leaf, index, count, siblings);
        require(found == root, ProofRoot(found, root));
    }

    /// @notice The root that the siblings lead to. `index < count` is the caller's to check.
    /// @dev In assembly: a settlement climbs some 20 levels, and a level costs 380 gas so, 520 in Solidity. As long as
    /// the node is not the last of its level, it has a sibling on one side or the other; from then on it stays
    /// the last, and has one, on its left, only where it is odd: an even last node was promoted.
    function inclusionRoot(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        internal
        view
        returns (bytes32 root)
    {
        uint256 length = siblings.length;
        require(length <= PROOF_HASHES_MAX, ProofLong(length));
        uint256 needed;
        root = leaf;
        assembly ("memory-safe") {
            // 01 ‖ left ‖ right: the bytes past the free pointer are free to use.
            let node := mload(0x40)
            mstore8(node, 1)
            let children := add(node, 1)
            let last := sub(count, 1)
            let place := siblings.offset
            // Siblings are read wherever they would lie; whether there were so many is checked after.
            for {} xor(index, last) {} {
                let side := shl(5, and(index, 1))
                mstore(add(children, side), root)
                mstore(add(children, xor(side, 32)), calldataload(place))
                // The precompile cannot fail but for want of gas; then this call gets none back either.
                if iszero(staticcall(gas(), 2, node, 65, 0, 32)) { invalid() }
                root := mload(0)
                index := shr(1, index)
                last := shr(1, last)
                place := add(place, 32)
            }
            for {} index { index := shr(1, index) } {
                if and(index, 1) {
                    mstore(children, calldataload(place))
                    mstore(add(children, 32), root)
                    if iszero(staticcall(gas(), 2, node, 65, 0, 32)) { invalid() }
                    root := mload(0)
                    place := add(place, 32)
                }
            }
            needed := shr(5, sub(place, siblings.offset))
        }
        require(length >= needed, ProofShort(length));
        require(length == needed, ProofLong(length));
    }
}
