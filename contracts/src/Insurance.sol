// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Leg, Tier} from "./Settlement.sol";

/// @notice What a pool of capital is opened on; never changed. Fields: docs/spec/cover.md.
struct PoolTerms {
    address manager;
    address token;
    uint96 eventMax;
    uint96 aggregateMax;
    uint32 waitingS;
    uint32 spanS;
    uint32 noticeS;
    uint128 salt;
}

/// @notice What a pool's manager signs, by EIP-712, and the holder buys.
struct Policy {
    bytes32 pool;
    address holder;
    bytes32 tenant;
    uint64 startS;
    uint64 quoteUntilS;
    uint32 windowS;
    uint32 uncertaintyMaxMilli;
    uint96 maximum;
    uint96 deductible;
    uint96 premium;
    uint128 salt;
    Leg leg;
    Tier[] tiers;
}
