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
    function inclusionRoot(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        internal
        view
        returns (bytes32 root)
    {
        uint256 length = siblings.length;
        require(length <= PROOF_HASHES_MAX, ProofLong(length));
        root = leaf;
        uint256 last = count - 1;
        // Nothing can overflow: i stays below length, at most 32, and the others only shift right.
        unchecked {
            for (uint256 i = 0; i < length; ++i) {
                require(last != 0, ProofLong(length));
                bytes32 sibling;
                assembly ("memory-safe") {
                    sibling := calldataload(add(siblings.offset, shl(5, i)))
                }
                if (index & 1 == 1 || index == last) {
                    root = node(sibling, root);
                    while (index & 1 == 0 && index != 0) {
                        index >>= 1;
                        last >>= 1;
                    }
                } else {
                    root = node(root, sibling);
                }
                index >>= 1;
                last >>= 1;
            }
        }
        require(last == 0, ProofShort(length));
    }

    /// @notice H(01 ‖ left ‖ right).
    /// @dev The precompile cannot fail but for want of gas; then this call gets none back either.
    function node(bytes32 left, bytes32 right) internal view returns (bytes32 hash) {
        assembly ("memory-safe") {
            // 65 bytes do not fit the scratch space of 64: the bytes past the free pointer are free to use.
            let free := mload(0x40)
            mstore8(free, 1)
            mstore(add(free, 1), left)
            mstore(add(free, 33), right)
            if iszero(staticcall(gas(), 2, free, 65, 0, 32)) { invalid() }
            hash := mload(0)
        }
    }
}
