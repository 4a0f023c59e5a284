// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy} from "./Insurance.sol";
import {TermsCodec} from "./TermsCodec.sol";

/// @title EIP-712 hashing of policies
library PolicyCodec {
    bytes32 internal constant POLICY_TYPEHASH = keccak256(
        "Policy(bytes32 pool,address holder,bytes32 tenant,uint64 startS,uint64 quoteUntilS,uint32 windowS,"
        "uint32 uncertaintyMaxMilli,uint96 maximum,uint96 deductible,uint96 premium,uint128 salt,"
        "Leg leg,Tier[] tiers)"
        "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)"
        "Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
    );

    /// @notice hashStruct(policy).
    function hash(Policy calldata policy) internal pure returns (bytes32 structHash) {
        (bytes32 typeHash, bytes32 leg, bytes32 tiers) =
            (POLICY_TYPEHASH, TermsCodec.hashLeg(policy.leg), TermsCodec.hashTiers(policy.tiers));
        assembly ("memory-safe") {
            // The eleven words before leg and tiers, as they are in the calldata.
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), policy, 352)
            mstore(add(free, 384), leg)
            mstore(add(free, 416), tiers)
            structHash := keccak256(free, 448)
        }
    }
}
