// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Leg, Terms, Tier} from "./Settlement.sol";

/// @title EIP-712 hashing of terms, and of the lists that terms of any product have
/// @dev Words are hashed as they came. One with bits beyond its type's gives a hash that nobody's terms have;
/// fields that are read are checked where they are read.
library TermsCodec {
    bytes32 internal constant LEG_TYPEHASH = keccak256(
        "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)"
    );
    bytes32 internal constant TIER_TYPEHASH =
        keccak256("Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)");
    bytes32 internal constant TERMS_TYPEHASH = keccak256(
        "Terms(address carrier,address shipper,address token,bytes32 tenant,uint32 windowS,"
        "uint32 uncertaintyMaxMilli,uint128 bond,uint128 legCap,uint128 salt,Leg[] legs,Tier[] tiers)"
        "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)"
        "Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
    );
    uint256 private constant LEG_BYTES = 6 * 32;
    uint256 private constant TIER_BYTES = 4 * 32;

    /// @notice hashStruct(terms).
    function hash(Terms calldata terms) internal pure returns (bytes32 structHash) {
        (bytes32 typeHash, bytes32 legs, bytes32 tiers) =
            (TERMS_TYPEHASH, hashLegs(terms.legs), hashTiers(terms.tiers));
        assembly ("memory-safe") {
            // The nine words before the two lists, as they are in the calldata.
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), terms, 288)
            mstore(add(free, 320), legs)
            mstore(add(free, 352), tiers)
            structHash := keccak256(free, 384)
        }
    }

    /// @notice The hash of a field of type Leg.
    function hashLeg(Leg calldata leg) internal pure returns (bytes32 legHash) {
        bytes32 typeHash = LEG_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), leg, 192)
            legHash := keccak256(free, 224)
        }
    }

    /// @notice The hash of a field of type Leg[].
    function hashLegs(Leg[] calldata legs) internal pure returns (bytes32) {
        uint256 place;
        assembly ("memory-safe") {
            place := legs.offset
        }
        return _hashList(LEG_TYPEHASH, place, legs.length, LEG_BYTES);
    }

    /// @notice The hash of a field of type Tier[].
    function hashTiers(Tier[] calldata tiers) internal pure returns (bytes32) {
        uint256 place;
        assembly ("memory-safe") {
            place := tiers.offset
        }
        return _hashList(TIER_TYPEHASH, place, tiers.length, TIER_BYTES);
    }

    /// @dev Of `count` structs of `size` bytes each, one behind the other at `place` in the calldata.
    function _hashList(bytes32 typeHash, uint256 place, uint256 count, uint256 size)
        private
        pure
        returns (bytes32 listHash)
    {
        assembly ("memory-safe") {
            let list := mload(0x40)
            let end := add(list, shl(5, count))
            mstore(end, typeHash)
            for { let hashAt := list } lt(hashAt, end) { hashAt := add(hashAt, 32) } {
                calldatacopy(add(end, 32), place, size)
                mstore(hashAt, keccak256(end, add(size, 32)))
                place := add(place, size)
            }
            listHash := keccak256(list, shl(5, count))
        }
    }
}
