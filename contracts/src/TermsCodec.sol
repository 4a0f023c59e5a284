// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Tier, Terms} from "./Settlement.sol";

/// @title EIP-712 hashing of the terms
library TermsCodec {
    bytes32 internal constant TIER_TYPEHASH =
        keccak256("Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)");
    bytes32 internal constant TERMS_TYPEHASH = keccak256(
        "Terms(address carrier,address shipper,address token,bytes32 tenant,bytes32 gatewayId,bytes32 legId,"
        "bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS,uint32 windowS,uint128 bond,"
        "uint128 salt,Tier[] tiers)" "Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
    );

    /// @notice hashStruct(terms).
    function hash(Terms calldata terms) internal pure returns (bytes32) {
        // Two halves, because one abi.encode of all fields is deeper than the stack.
        bytes memory first = abi.encode(
            TERMS_TYPEHASH,
            terms.carrier,
            terms.shipper,
            terms.token,
            terms.tenant,
            terms.gatewayId,
            terms.legId,
            terms.limitsHash
        );
        bytes memory second = abi.encode(
            terms.beginMs,
            terms.dueMs,
            terms.deadlineS,
            terms.windowS,
            terms.bond,
            terms.salt,
            _hash(terms.tiers)
        );
        return keccak256(bytes.concat(first, second));
    }

    function _hash(Tier[] calldata tiers) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](tiers.length);
        for (uint256 i = 0; i < tiers.length; ++i) {
            Tier calldata tier = tiers[i];
            hashes[i] =
                keccak256(abi.encode(TIER_TYPEHASH, tier.channel, tier.metric, tier.threshold, tier.amount));
        }
        return keccak256(abi.encodePacked(hashes));
    }
}
