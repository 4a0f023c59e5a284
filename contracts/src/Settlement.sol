// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAnchorRegistry} from "./interfaces/IAnchorRegistry.sol";

/// @notice One leg of a shipment: who signs it, under which limits, and its times.
struct Leg {
    bytes32 gatewayId;
    bytes32 legId;
    bytes32 limitsHash;
    uint64 beginMs;
    uint64 dueMs;
    uint64 deadlineS;
}

/// @notice One step of a penalty: where the metric's figure is above the threshold, the amount is due.
/// Metrics and their figures: docs/spec/settlement.md.
struct Tier {
    uint16 channel;
    uint8 metric;
    uint128 threshold;
    uint128 amount;
}

/// @notice What carrier and shipper sign, by EIP-712.
struct Terms {
    address carrier;
    address shipper;
    address token;
    bytes32 tenant;
    uint32 windowS;
    uint32 uncertaintyMaxMilli;
    uint128 bond;
    uint128 legCap;
    uint128 salt;
    Leg[] legs;
    Tier[] tiers;
}

/// @notice A run record and its place among the frame's runs.
struct RunProof {
    bytes record;
    uint64 index;
    bytes32[] siblings;
}

/// @notice A signed frame and its way up to an anchored super-root, with the run records that are needed.
struct FrameProof {
    bytes header;
    bytes32 r;
    bytes32 s;
    uint64 frameIndex;
    bytes32[] frameSiblings;
    bytes batchLeaf;
    uint64 batchIndex;
    bytes32[] batchSiblings;
    uint64 interval;
    IAnchorRegistry.Anchor anchored;
    RunProof[] runs;
}
