// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev RFC 9162 section 2.1 written as it reads there, recursively: the twin of Rfc9162.
library NaiveTree {
    function hashLeaf(bytes memory data) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"00", data));
    }

    function hashNode(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"01", left, right));
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        return _root(leaves, 0, leaves.length);
    }

    /// @dev Section 2.1.3: the siblings of `index`, from the leaf upward.
    function path(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory) {
        return _path(leaves, index, 0, leaves.length);
    }

    /// @dev The root that a full tree's siblings lead to: for trees too large to build.
    function fold(bytes32 leaf, uint256 index, bytes32[] memory siblings) internal pure returns (bytes32) {
        for (uint256 i = 0; i < siblings.length; ++i) {
            bool isRight = index >> i & 1 == 1;
            leaf = isRight ? hashNode(siblings[i], leaf) : hashNode(leaf, siblings[i]);
        }
        return leaf;
    }

    function _root(bytes32[] memory leaves, uint256 first, uint256 end) private pure returns (bytes32) {
        uint256 count = end - first;
        if (count == 0) return sha256("");
        if (count == 1) return leaves[first];
        uint256 split = first + _half(count);
        return hashNode(_root(leaves, first, split), _root(leaves, split, end));
    }

    function _path(bytes32[] memory leaves, uint256 index, uint256 first, uint256 end)
        private
        pure
        returns (bytes32[] memory)
    {
        if (end - first == 1) return new bytes32[](0);
        uint256 split = first + _half(end - first);
        if (index < split) {
            return _append(_path(leaves, index, first, split), _root(leaves, split, end));
        }
        return _append(_path(leaves, index, split, end), _root(leaves, first, split));
    }

    /// @dev The largest power of two smaller than count.
    function _half(uint256 count) private pure returns (uint256 half) {
        half = 1;
        while (half * 2 < count) half *= 2;
    }

    function _append(bytes32[] memory list, bytes32 last) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = last;
    }
}
