// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which evidence of a leg counts
/// @notice Refusals that every product judging a leg by its signed frames has in common. The rules are in
/// docs/spec/settlement.md: a frame counts when it is of the leg, signed by its gateway while that was valid, in a
/// batch of the tenant, and its interval is final.
/// @dev Trusted: the gateway's signature on the totals (fold errors and doubly signed frames are not found
/// here), the gateway registry for keys and certificates, the anchor registry for what is final.
interface ILegEvidence {
    /// @notice A leg that no frame can be of: leg id or limits hash is zero.
    error LegUnnamed(bytes32 legId, bytes32 limitsHash);
    error LegTimes(uint64 beginMs, uint64 dueMs, uint64 deadlineS, uint256 nowS);
    error TierCountOutOfBounds(uint256 count);
    error TierOutOfOrder(uint256 index);
    error TierInvalid(uint256 index);
    error FrameTenant(bytes32 found, bytes32 wanted);
    error FrameGateway(bytes32 found, bytes32 wanted);
    error FrameLeg(bytes32 found, bytes32 wanted);
    error FrameLimits(bytes32 found, bytes32 wanted);
    error FrameSignature();
    /// @notice The frame says it was signed later than its anchor's block.
    error FrameAhead(uint64 sentMs, uint64 anchoredS);
    error IntervalNotFinal(uint64 interval);
    /// @notice A tier's channel was not shown.
    error RunMissing(uint16 channel);
    /// @notice A run that no tier names, or out of order.
    error RunNotWanted(uint256 index);
    /// @notice The gateway registry failed to answer; it did not say that there is no certificate.
    error CalibrationNotRead(uint16 channel);
}
